"""A hit: what a line of any web server's log tells, whatever its format."""

import re
from typing import NamedTuple

from services.producer.replay.report import BadLineError

_request = re.compile(rb"([A-Za-z]+) (\S.*?)(?: HTTP/\d(?:\.\d)?)?$", re.DOTALL).match
_escape = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_control = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING = (None, b"", b"-", "", "-")


class Hit(NamedTuple):
    """One request. `target` is its path and query, or its URL; `client` an address that never leaves the producer.

    `host` is the virtual host that answered, with whatever port, where the format has a place for it.
    """

    time_ms: int
    client: str
    method: str
    target: bytes
    status: int
    referrer: str = ""
    agent: str = ""
    host: str = ""


def split_request(request: bytes, status: int) -> tuple[str, bytes]:
    """Method and target of `GET /page HTTP/1.1`; both empty if a server refused what was no request.

    Raises:
        BadLineError: it is no request, although the server answered it.
    """
    parts = _request(request)
    if parts is None:
        if status >= 400:  # a TLS handshake, a port scan
            return "", b""
        raise BadLineError("the request is not METHOD PATH PROTOCOL")
    return parts[1].decode(), parts[2]


def unescaped(raw: bytes) -> bytes:
    r"""Servers write `"`, `\` and what isn't printable as `\"`, `\\`, `\xHH`."""
    if b"\\" not in raw:
        return raw
    return _escape.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else _LETTERS.get(m[2], m[2]), raw)


def text_of(raw: bytes | None) -> str:
    """A quoted field as text without control characters; empty where the server wrote `-`."""
    if raw in _NOTHING:
        return ""
    return printable(unescaped(raw or b"").decode("utf-8", "replace"))


def printable(text: str) -> str:
    """The text without control characters."""
    return text if text.isprintable() else _control.sub("", text)
