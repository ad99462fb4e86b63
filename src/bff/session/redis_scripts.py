"""What must happen in one step inside Redis or Valkey, in Lua. Every key of a script has one tag, so a cluster runs it.

Instants are ours (seconds, as text) and compared by us, so that losing a key's expiry ends nobody; ``PEXPIRE`` is
housekeeping. Leases alone are counted in the server's own time, which all processes share (rule F3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the digest under which the server knows it once it has run."""

    text: str = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-1, because that is the command's (``EVALSHA``); nothing relies on it."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

# Stream; keep in ms, event. Entries older than a session may live go, whole blocks at a time.
APPEND: Final = Script(
    _NOW + "return redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', now - ARGV[1]), '*', 'e', ARGV[2])"
)

# Stream; the last id that was seen, how many. One text for all of them: a client that takes each entry apart, field by
# field, would need a minute for a day's sessions.
PAGE: Final = Script("""
local found = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
local events = {}
for index, entry in ipairs(found) do events[index] = entry[2][2] end
return {#found > 0 and found[#found][1] or ARGV[1], #found, table.concat(events)}
""")

# Login; until, now, ttl in ms.
SPEND: Final = Script("""
local known = redis.call('HGET', KEYS[1], 'until')
if known and tonumber(known) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'until', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")

# Login; sealed. What was never spent, or has lapsed, has no landing.
LAND: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'sealed', ARGV[1])
return 1
""")

# Successors of a session; generation, newest, sealed, until, now, ttl.
FOLLOW: Final = Script("""
local known = redis.call('HGET', KEYS[1], ARGV[1] .. ':until')
if known and tonumber(known) > tonumber(ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. ':newest', ARGV[2], ARGV[1] .. ':sealed', ARGV[3], ARGV[1] .. ':until', ARGV[4])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
return 1
""")

# Successors; generation, newest, sealed. Only forward, and only what exists.
SHORTEN: Final = Script("""
local newest = redis.call('HGET', KEYS[1], ARGV[1] .. ':newest')
if not newest or tonumber(newest) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. ':newest', ARGV[2], ARGV[1] .. ':sealed', ARGV[3])
return 1
""")

# Successors; generation, until, now. Older entries only ever get shorter lives, and go when those are over.
ACKNOWLEDGE: Final = Script("""
local shortened = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local generation = string.match(name, '^(%d+):until$')
  if generation and tonumber(generation) < tonumber(ARGV[1]) then
    local known = tonumber(redis.call('HGET', KEYS[1], name))
    if known <= tonumber(ARGV[3]) then
      redis.call('HDEL', KEYS[1], name, generation .. ':newest', generation .. ':sealed')
    elseif known > tonumber(ARGV[2]) then
      redis.call('HSET', KEYS[1], name, ARGV[2])
      shortened = shortened + 1
    end
  end
end
return shortened
""")

# Flight, doubts of its session; owner, generation, until, ttl, cautious, lease in ms, the longest lease in ms.
ENTER: Final = Script(
    _NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'owner', 'lease', 'sent')
local owner, lease = known[1], tonumber(known[2] or '0')
if owner ~= ARGV[1] then
  if ARGV[5] == '1' or (owner and lease > now and lease <= now + ARGV[7]) then return 0 end
  if owner and known[3] == '1' then
    redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease', string.format('%.0f', now + ARGV[6]), 'sent', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
)

# Flight; owner, lease in ms. What was sent has its time and no more.
RENEW: Final = Script(
    _NOW
    + """
local known = redis.call('HMGET', KEYS[1], 'owner', 'sent')
if known[1] ~= ARGV[1] then return 0 end
if known[2] ~= '1' then redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', now + ARGV[2])) end
return 1
"""
)

# Flight; owner, lease in ms.
SEND: Final = Script(
    _NOW
    + """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', string.format('%.0f', now + ARGV[2]), 'sent', '1')
return 1
"""
)

# Flight; owner, lease in ms, ttl: an owner's flight that was sent, told again to a store that may have lost it.
SENT_AGAIN: Final = Script(
    _NOW
    + """
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease', string.format('%.0f', now + ARGV[2]), 'sent', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)

# Flight; owner.
LEAVE: Final = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

# Doubts; generation, until, ttl.
DOUBT: Final = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
""")

# Stale; at, until, now, ttl: the first time stands.
STALE: Final = Script("""
local known = redis.call('HMGET', KEYS[1], 'at', 'until')
if known[1] and tonumber(known[2]) > tonumber(ARGV[3]) then return known[1] end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'until', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return ARGV[1]
""")

# Session; generation, about, secrets, active, ttl: a new record, which never replaces one.
KEEP: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'about', ARGV[2], 'secrets', ARGV[3], 'active', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
""")

# Session; generation before, generation, about, secrets: compare-and-set, which never creates what is missing (F2).
REPLACE: Final = Script("""
local known = redis.call('HMGET', KEYS[1], 'generation', 'secrets')
if not known[2] or known[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'about', ARGV[3], 'secrets', ARGV[4])
return 1
""")

# Session; generation, about, secrets, active, ttl: a writer's own record told again, where it is newer or was lost.
KEEP_AGAIN: Final = Script("""
local known = redis.call('HMGET', KEYS[1], 'generation', 'secrets')
if known[1] and (not known[2] or tonumber(known[1]) >= tonumber(ARGV[1])) then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'about', ARGV[2], 'secrets', ARGV[3])
redis.call('HSETNX', KEYS[1], 'active', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
""")

# Session; active: later only, and never a record that is over.
SLIDE: Final = Script("""
local known = redis.call('HMGET', KEYS[1], 'active', 'secrets')
if not known[2] or tonumber(known[1] or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'active', ARGV[1])
return 1
""")

# A person's list; session, what is kept of it, ttl: the list lives as long as its longest entry.
LIST: Final = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
""")

# Sessions under a mark; session, until, now, ttl: those whose time is over go.
INDEX: Final = Script("""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
""")

# Session; reason, the last activity that was judged: its time is over, unless somebody was active since.
LAPSE: Final = Script("""
local known = redis.call('HMGET', KEYS[1], 'active', 'secrets')
if not known[2] or tonumber(known[1] or '0') > tonumber(ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], 'secrets')
redis.call('HSET', KEYS[1], 'ended', ARGV[1])
return 1
""")
