/**
 * The page's side of the BFF: who is signed in, and calls that go through the session. No token is ever here to be lost.
 *
 * One answer of `GET /bff/user` is what this module knows. Whatever casts doubt on it (another tab, a refused call, the
 * end of the session, a page that comes back into view) only makes it ask again; nothing else is believed. That a session
 * ended elsewhere is told by `GET /bff/events`, a stream that one tab reads for all.
 *
 * @typedef {import("./bff.d.ts").User} User
 * @typedef {import("./bff.d.ts").SessionChange} SessionChange
 * @typedef {import("./bff.d.ts").ProblemMembers} ProblemMembers
 */

const LOGIN = "/bff/login";
const LOGOUT = "/bff/logout";
const USER = "/bff/user";
const EVENTS = "/bff/events";
const OURS = "urn:bff:problem:";
const DOUBTFUL = new Set([`${OURS}no-session`, `${OURS}session-ended`, `${OURS}session-changed`]);
const PATIENCE = 10_000; // milliseconds for /bff/user: longer than any time-out behind it, shorter than a person's
const LEAST_WAIT = 30_000; // milliseconds between two looks at a session's end, however wrong this computer's clock is
const LONGEST_WAIT = 2 ** 31 - 1; // what setTimeout can hold
const RECONNECT = { first: 1000, longest: 60_000 }; // milliseconds between two streams; the wait doubles while none opens

/** A refusal or an outage (RFC 9457). `status` 0 with slug `unreachable` means that no answer came at all. */
export class Problem extends Error {
  /** @param {ProblemMembers} members */
  constructor({ type, title, status, detail = null, reason = null, traceId = null, retryAfter = null, members = {} }) {
    super(title);
    this.name = "Problem";
    this.type = type;
    this.slug = type.startsWith("urn:") ? type.slice(type.lastIndexOf(":") + 1) : `http-${status}`;
    this.title = title;
    this.status = status;
    this.detail = detail;
    this.reason = reason;
    this.traceId = traceId;
    this.retryAfter = retryAfter;
    this.members = members;
  }

  /**
   * Reads the problem out of an answer; one without a body that can be read is still a problem, named by its status.
   * @param {Response} response
   */
  static async from(response) {
    const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json") ?? false;
    /** @type {Record<string, unknown>} */
    const body = isProblem ? ((await response.json().catch(() => null)) ?? {}) : {};
    /** @param {string} name */
    const text = (name) => (typeof body[name] === "string" ? /** @type {string} */ (body[name]) : null);
    return new Problem({
      type: text("type") ?? "about:blank",
      title: text("title") ?? (response.statusText || `The server answered ${response.status}.`),
      status: response.status,
      detail: text("detail"),
      reason: text("reason"),
      traceId: text("trace_id"),
      retryAfter: secondsToWait(response.headers.get("Retry-After")),
      members: body,
    });
  }
}

/** @type {User | undefined} */
let known;
/** @type {Promise<User> | undefined} */
let asking;
/** @type {BroadcastChannel | undefined} */
let channel;
/** @type {string | null} */
let why = null; // the reason of the refusal that made us ask
let skew = 0; // milliseconds by which the server's clock is ahead of this one
let unsettled = false; // the last question got no answer
/** @type {ReturnType<typeof setTimeout> | undefined} */
let sessionEnd;
/** @type {{tag: string, stop: AbortController} | undefined} */
let listening;
/** @type {Set<(change: SessionChange) => void>} */
const listeners = new Set();

/**
 * Leaves for the sign-in page and comes back to `returnTo`, a path of this site (default: here).
 * @param {import("./bff.d.ts").LoginOptions} [options]
 */
export function login({ returnTo = location.pathname + location.search, prompt, loginHint } = {}) {
  const query = new URLSearchParams({ return_to: returnTo });
  if (prompt !== undefined) query.set("prompt", prompt);
  if (loginHint !== undefined) query.set("login_hint", loginHint);
  location.assign(`${LOGIN}?${query}`);
}

/** Ends the session here, tells the other tabs, then leaves to end it at the authorization server too. */
export async function logout() {
  const response = await fetch(LOGOUT, { method: "POST" });
  const { redirect_to: next } = await response.json();
  why = "signed_out";
  learn({ authenticated: false, login_url: LOGIN });
  location.assign(ownPath(next));
}

/**
 * Who is signed in. Answers from memory once known; `fresh` asks the server.
 * @param {{fresh?: boolean}} [options]
 * @returns {Promise<User>}
 */
export function user({ fresh = false } = {}) {
  return known === undefined || fresh ? ask({ slides: true }) : Promise.resolve(known);
}

/** Milliseconds since the epoch by the server's clock, which is the one that session ends are told in. */
export function serverNow() {
  return Date.now() + skew;
}

/**
 * `window.fetch` for paths of this site, in the name of the session that this page knows. Resolves with an answer below
 * 400; rejects with a `Problem` for every other, and never leaves the page.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function fetch(path, init = {}) {
  const target = ownPath(path);
  const speaker = await user();
  try {
    return await send(target, init, tagOf(speaker));
  } catch (error) {
    if (error instanceof Problem && DOUBTFUL.has(error.type)) doubt(error.reason);
    throw error;
  }
}

/**
 * Hears every change of what is known, the first answer included. Returns a function that stops it.
 * @param {(change: SessionChange) => void} listener
 */
export function onSessionChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @param {string | null} tag
 * @returns {Promise<Response>}
 */
async function send(path, init, tag) {
  for (let again = isRepeatable(init.body); ; again = false) {
    const response = await sendOnce(path, init, tag);
    if (response.status < 400) return response;
    const problem = await Problem.from(response);
    // The call carried an older cookie of a living session: by now the jar holds the newest, so the same call succeeds.
    if (!again || problem.type !== `${OURS}session-superseded`) throw problem;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} init
 * @param {string | null} tag
 */
async function sendOnce(path, init, tag) {
  const headers = new Headers(init.headers);
  headers.set("X-CSRF", "1");
  if (tag !== null) headers.set("X-BFF-Session", tag);
  try {
    // `same-origin` also refuses a redirect that would carry these headers elsewhere.
    return await globalThis.fetch(path, { ...init, headers, mode: "same-origin", credentials: "same-origin" });
  } catch (error) {
    if (init.signal?.aborted && !isTimeout(error)) throw error; // the caller's own change of mind
    throw new Problem({ type: `${OURS}unreachable`, title: "The server cannot be reached.", status: 0 });
  }
}

/**
 * One question at a time. It carries no tag, since it is asked to learn it.
 * @param {{slides: boolean}} options whether the session's idle time starts anew
 * @returns {Promise<User>}
 */
function ask({ slides }) {
  const question = (asking ??= answerOf(slides).finally(() => {
    if (asking === question) asking = undefined;
  }));
  return question;
}

/** @param {boolean} slides */
async function answerOf(slides) {
  try {
    const headers = new Headers(slides ? [] : [["X-BFF-Slide", "0"]]);
    const response = await send(USER, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) }, null);
    /** @type {User} */
    const answer = await response.json();
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isNaN(date)) skew = date - Date.now();
    unsettled = false;
    return learn(answer);
  } catch (error) {
    unsettled = true;
    if (error instanceof Problem) tell({ kind: "unreachable", problem: error });
    throw error;
  }
}

/** @param {User} answer */
function learn(answer) {
  const previous = known;
  const reason = (answer.authenticated ? null : answer.reason) ?? why;
  known = answer;
  why = null;
  if (previous === undefined || tagOf(previous) !== tagOf(answer)) channel?.postMessage({ tag: tagOf(answer), reason });
  lookAgainAtTheEnd(answer);
  listen(tagOf(answer));
  tell({ kind: kindOf(previous, answer), user: answer, previous: previous ?? null, reason });
  return answer;
}

/**
 * @param {User | undefined} previous
 * @param {User} answer
 */
function kindOf(previous, answer) {
  if (previous !== undefined && tagOf(previous) === tagOf(answer)) return "confirmed";
  if (!answer.authenticated) return "signed-out";
  return previous?.authenticated ? "switched" : "signed-in";
}

/**
 * Asks again, not as an act of the person. Whoever listens hears the outcome, a failure included.
 * @param {string | null} [reason]
 */
function doubt(reason = null) {
  why ??= reason;
  ask({ slides: false }).catch(() => undefined);
}

/** Personal content may not be shown from here to the next change. */
function conceal() {
  if (known?.authenticated) tell({ kind: "unconfirmed" });
}

/** @param {User} answer */
function lookAgainAtTheEnd(answer) {
  clearTimeout(sessionEnd);
  if (!answer.authenticated) return;
  const end = Math.min(answer.session.expires_at, answer.session.idle_expires_at) * 1000;
  const wait = Math.min(Math.max(end - serverNow() + 1000, LEAST_WAIT), LONGEST_WAIT);
  sessionEnd = setTimeout(doubt, wait);
}

/**
 * Hears the end of this session from the server. One tab of all holds the lock and reads the stream: a browser opens six
 * connections to a site at most, and a stream a tab would leave none for the seventh.
 * @param {string | null} tag of the session, null for nobody's
 */
function listen(tag) {
  if (listening?.tag === tag) return;
  stopListening();
  if (tag === null || navigator.locks === undefined) return;
  const stop = new AbortController();
  listening = { tag, stop };
  const { signal } = stop;
  navigator.locks.request("bff-events", { signal }, () => followEvents(tag, signal)).catch(() => undefined);
}

function stopListening() {
  listening?.stop.abort();
  listening = undefined;
}

/**
 * Reads one stream after the other until the session's end, which this tab and all others hear then.
 * @param {string} tag
 * @param {AbortSignal} signal
 */
async function followEvents(tag, signal) {
  const headers = { Accept: "text/event-stream", "X-BFF-Slide": "0" };
  for (let wait = RECONNECT.first; !signal.aborted; wait = Math.min(2 * wait, RECONNECT.longest)) {
    try {
      const response = await send(EVENTS, { headers, cache: "no-store", signal }, tag);
      wait = RECONNECT.first;
      const reason = await reasonIn(response);
      if (reason !== null) return passOn(tag, reason);
    } catch (error) {
      if (error instanceof Problem && DOUBTFUL.has(error.type)) return passOn(tag, error.reason);
    }
    await pause(wait * (0.5 + Math.random()), signal);
  }
}

/**
 * The reason that a stream of events tells; null where it ends without one, as at a restart of the server.
 * @param {Response} response
 */
async function reasonIn(response) {
  if (response.body === null) return null;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return null;
    const events = (unread + value).split("\n\n");
    unread = events.pop() ?? "";
    for (const event of events) {
      const told = /^event: session-ended\ndata: (.+)$/.exec(event);
      if (told === null) continue;
      reader.cancel().catch(() => undefined);
      return String(JSON.parse(told[1]).reason);
    }
  }
}

/**
 * @param {string} tag
 * @param {string | null} reason
 */
function passOn(tag, reason) {
  channel?.postMessage({ ended: tag, reason });
  if (known !== undefined && tagOf(known) === tag) doubt(reason);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
  });
}

/** @param {SessionChange} change */
function tell(change) {
  for (const listener of [...listeners]) {
    try {
      listener(change);
    } catch (error) {
      reportError(error);
    }
  }
}

/** @param {User | undefined} who */
function tagOf(who) {
  return who?.authenticated ? who.session.tag : null;
}

/**
 * The path, if it is one of this site. What a URL parser makes of the text decides, not what it looks like.
 * @param {unknown} path
 */
function ownPath(path) {
  if (typeof path === "string" && path.startsWith("/")) {
    const url = new URL(path, location.origin);
    if (url.origin === location.origin) return url.pathname + url.search;
  }
  throw new TypeError("bff.js calls paths of this site only, such as /api/todolist");
}

/** @param {unknown} error */
function isTimeout(error) {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** @param {BodyInit | null | undefined} body */
function isRepeatable(body) {
  return !(body instanceof ReadableStream);
}

/** @param {string | null} value Retry-After, in seconds or as a date (RFC 9110 10.2.3) */
function secondsToWait(value) {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - serverNow()) / 1000));
}

/** Tabs tell each other what they know; whoever knows otherwise asks the server, once the question under way is answered. */
function openChannel() {
  channel ??= new BroadcastChannel("bff");
  channel.onmessage = async ({ data }) => {
    await asking?.catch(() => undefined);
    if (known === undefined) return;
    const isDoubtful = data?.ended === undefined ? data?.tag !== tagOf(known) : data.ended === tagOf(known);
    if (isDoubtful) doubt(typeof data?.reason === "string" ? data.reason : null);
  };
}

openChannel();
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") conceal();
  else if (known !== undefined || unsettled) doubt();
});
addEventListener("pagehide", () => {
  conceal();
  channel?.close(); // an open channel may keep the page out of the back/forward cache
  channel = undefined;
  stopListening(); // and so may a lock and a stream
});
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  openChannel();
  asking = undefined; // a question from before the freeze is not an answer for now
  conceal();
  doubt();
});
addEventListener("online", () => {
  if (unsettled) doubt();
});
