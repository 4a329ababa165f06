"""One spelling of a page's path, so that `/caf%C3%A9`, `/caf%c3%a9` and `/café` are one page.

As RFC 3986 (6.2.2) and RFC 3987 (3.2) have it: what needs no escape has none, text in UTF-8 is readable, and what
remains escaped, since it means something else without (`%2F`) or can't be shown, is so in capitals.
"""

import re

_is_plain = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*").fullmatch
# A NUL stays what it is: no event may hold one.
_unsafe = re.compile(rb"[^\0A-Za-z0-9/._~!$&'()*+,;=:@\[\]%-]")
_escapes = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def one_spelling(path: str) -> str:
    """The path of a page in its one spelling; a `%` that begins no escape stays as it is."""
    if _is_plain(path):
        return path
    raw = _unsafe.sub(lambda m: b"%%%02X" % m[0][0], path.encode("utf-8", "surrogateescape"))
    return _escapes.sub(_readable, raw).decode()


def _readable(escapes: re.Match[bytes]) -> bytes:
    text = bytes.fromhex(escapes[0].replace(b"%", b"").decode()).decode("utf-8", "surrogateescape")
    return "".join(map(_spelled, text)).encode()


def _spelled(character: str) -> str:
    if character in _UNRESERVED or (not character.isascii() and character.isprintable()):
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
