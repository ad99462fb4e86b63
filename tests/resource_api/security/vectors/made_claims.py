"""Claims and types under a good signature that no API may believe, or that it must understand (RFC 7519, RFC 9068)."""

from __future__ import annotations

from typing import Any, Final

from tests.resource_api.security.vectors import forging
from tests.resource_api.security.vectors.forging import BEGINS, ENDS, INVALID, VALID, Keys, Vector, compact, head
from tests.world.tokens import ABSENT, API_CLIENT_ID, ISSUER, TENANT_ID

_GUID: Final = "00000000-0000-4000-8000-000000000000"
_BAD: Final[dict[str, tuple[Any, ...]]] = {
    "exp": (ABSENT, None, "4102444800", True, False, 0, -1, BEGINS, -ENDS, 2**53 + 2, 2**63 - 1, [ENDS],
    {"exp": ENDS}, ""),
    "iat": (ABSENT, None, "1735689600", True, ENDS, -1, [BEGINS]),
    "nbf": (None, "1735689600", ENDS, True, -1, {}),
    "auth_time": (None, "1735689600", ENDS, True),
    "aud": (
        ABSENT, None, "", f" {API_CLIENT_ID}", f"{API_CLIENT_ID} ", API_CLIENT_ID.upper(), API_CLIENT_ID[:-1], _GUID,
        f"{API_CLIENT_ID},{_GUID}", f"api://{API_CLIENT_ID}", f"{API_CLIENT_ID}\0", "*", [], [_GUID], [API_CLIENT_ID,
        1],
        [API_CLIENT_ID, None], [[API_CLIENT_ID]], {"0": API_CLIENT_ID}, 1, True,
    ),
    "iss": (
        ABSENT, None, "", f"{ISSUER}/", ISSUER.upper(), ISSUER.replace("https", "http"), f"{ISSUER}?", f"{ISSUER}#",
        f"{ISSUER}/../v2.0", f" {ISSUER}", f"{ISSUER}\0", ISSUER.replace(".com", ".com.evil.example"),
        ISSUER.replace("ciamlogin", "ciamlog\u0131n"), "https://evil.example/", [ISSUER], {"iss": ISSUER}, 1,
        ISSUER.replace(TENANT_ID, "{tenantid}"),
    ),
    "sub": (ABSENT, None, "", "x" * 256, 1, ["a"], "a\0", "a\nb", "a\u202eb", {}),
    "tid": (ABSENT, None, "", "common", _GUID, TENANT_ID[:-1], [TENANT_ID], f"{TENANT_ID}\0"),
    "oid": (ABSENT, None, "", "alice", 7, f"{_GUID} ", [_GUID]),
    "azp": (ABSENT, None, "", 1, ["a"], "x" * 256),
    "ver": (ABSENT, None, "1.0", "2.00", 2.0, 2, ["2.0"]),
    "scp": (ABSENT, None, "", " ", "a  b", " ToDoList.Read", "a\tb", 'a"b', 1, ["ToDoList.Read"], {"a": 1},
    "ToDoList.Read\0"),
    "roles": (None, "ToDoList.Read.All", [1], [""], {"a": 1}, [["a"]]),
    "idtyp": (None, "app", "device", "User", 1, ["user"]),
    "xms_cc": (None, "cp1", [1]),
    "acr": (None, 1, "", ["1"]),
    "acrs": (None, "c1", [1]),
    "nonce": ("n-0S6_WzA2Mj", None),
    "at_hash": ("AAAA",),
    "c_hash": ("AAAA",),
    "s_hash": ("AAAA",),
    "events": ({"http://schemas.openid.net/event/backchannel-logout": {}},),
    "cnf": ({"jkt": "AAAA"}, {"x5t#S256": "AAAA"}, {}, None),
    "token_use": ("id", "refresh", 1),
    "typ": ("ID", "Refresh", "Logout"),
}  # fmt: skip
_GOOD: Final[dict[str, tuple[Any, ...]]] = {
    "exp": (ENDS + 0.5, 4.1024448e9),
    "iat": (BEGINS + 0.25, 0),
    "nbf": (ABSENT, 0),
    "aud": ([API_CLIENT_ID], [_GUID, API_CLIENT_ID]),
    "tid": (TENANT_ID.upper(),),
    "scp": ("ToDoList.Read",),
    "idtyp": (ABSENT, "user"),
    "roles": (ABSENT, [], ["Anything"]),
    "name": ("\u0410\u043b\u0438\u0441\u0430 \U0001f600", None, 1),
    "x-unknown": ({"a": [1, {"b": None}]}, "x" * 2000),
}
_TYPES: Final = ("at+jwt", "application/at+jwt", "JWE", "logout+jwt", "JWT ", "", None, 1, ["JWT"])
_DOCUMENTS: Final[dict[str, bytes]] = {
    "an array": b"[]", "null": b"null", "a string": b'"claims"', "a number": b"1", "nothing": b"{}",
    "no JSON": b"claims",
    "an XML": b"<claims/>", "a null byte": b"\0\0", "no end": b'{"iss":', "a comment": b"/**/{}",
}  # fmt: skip


def _documents() -> dict[str, bytes]:
    """Payloads with one meaning too many, or with none."""
    whole, without_exp = forging.payload(), forging.payload(exp=ABSENT)[:-1]
    numbers = {
        "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "1e400": b"1e400", "1e100": b"1e100",
        "of 5,000 digits": b"9" * 5000, "with a zero in front": b"04102444800", "with a plus": b"+4102444800",
        "hexadecimal": b"0xF4865700", "-0": b"-0", "with a point at its end": b"4102444800.",
        "2 to the 64th": str(2**64).encode(),
    }  # fmt: skip
    return {
        **_DOCUMENTS,
        **{f"exp {name}": without_exp + b',"exp":' + digits + b"}" for name, digits in numbers.items()},
        "iss twice, the first another": b'{"iss":"https://evil.example/",' + whole[1:],
        "aud twice, the last another": whole[:-1] + b',"aud":"another"}',
        "scp twice": whole[:-1] + b',"scp":"Everything"}',
        "sub twice, once by escapes": whole[:-1] + b',"\\u0073ub":"bob"}',
        "a nested member twice": whole[:-1] + b',"x":{"a":1,"a":2}}',
        "a member of an array's object twice": whole[:-1] + b',"x":[{"a":1,"a":2}]}',
        "a byte order mark": b"\xef\xbb\xbf" + whole,
        "UTF-16": whole.decode().encode("utf-16"),
        "UTF-32": whole.decode().encode("utf-32"),
        "a byte that is no UTF-8": whole[:-1] + b',"x":"\xff"}',
        "overlong UTF-8": whole[:-1] + b',"x":"\xc0\xaf"}',
        "a surrogate as UTF-8": whole[:-1] + b',"x":"\xed\xa0\x80"}',
        "a lone surrogate": whole[:-1] + b',"x":"\\ud800"}',
        "a lone surrogate as a name": whole[:-1] + b',"\\udfff":1}',
        "a control character": whole[:-1] + b',"x":"\x1f"}',
        "two documents": whole + whole,
        "something behind it": whole + b"\0",
        "thirty levels": whole[:-1] + b',"x":' + b"[" * 30 + b"]" * 30 + b"}",
        "5,000 levels": whole[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    }


def claim_vectors(keys: Keys) -> list[Vector]:
    """One claim changed at a time, then whole documents, then types that are not an access token's here."""

    def under(document: bytes, **members: Any) -> str:
        signed = forging.signing_input(head(**members), document)
        return compact(signed, forging.rs256(keys.rsa, signed))

    found = [
        Vector(f"{name} {value!r:.120}", under(forging.payload(**{name: value})), result, (flag,) if flag else ())
        for table, result, flag in ((_BAD, INVALID, "Claim"), (_GOOD, VALID, ""))
        for name, values in table.items()
        for value in values
    ]
    found += [
        Vector(f"payload: {name}", under(document), INVALID, ("UnclearJson",))
        for name, document in _documents().items()
    ]
    found += [
        Vector(f"header: typ {value!r}", under(forging.payload(), typ=value), INVALID, ("WrongTyp",))
        for value in _TYPES
    ]
    spaced = b" \r\n" + forging.payload().replace(b", ", b" ,\t") + b"\n"
    return [
        *found,
        Vector("payload: white space", under(spaced), VALID),
        Vector("none changed", under(forging.payload()), VALID),
    ]
