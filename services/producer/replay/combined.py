"""The Combined and the Common Log Format of nginx and Apache, as it is written in the wild.

`client ident user [time] "request" status size "referrer" "agent"`. In front may stand a virtual host, in place of the
client a forwarded list; behind the agent whatever else, of which a forwarded list (nginx's own format `main`) is read.
"""

import re

from services.producer.replay import clients
from services.producer.replay.hits import Hit, split_request, text_of, unescaped
from services.producer.replay.report import BadLineError
from services.producer.replay.times import parse_log_time

_QUOTED = rb'"(?P<%s>[^"\\]*(?:\\.[^"\\]*)*)"'
_LINE = re.compile(
    rb"(?s)(?P<front>[^\[]{1,4096}?(?:\[[^\]\s]{2,64}\] - [^\[]{1,256}?)?) ?\[(?P<time>[^\]]{10,64})\] +"
    + _QUOTED % b"request"
    + rb" (?P<status>\d{3}) (?:\d+|-)"
    + rb'(?: %s %s(?: "(?P<forwarded>[^"\\]*)")?(?P<more>\s.*)?)?$' % (_QUOTED % b"referrer", _QUOTED % b"agent")
).match
# ADDRESS - USER: by far the most common front.
_plain_front = re.compile(r"([0-9A-Fa-f.:]+) +- +(?:-|\"\"|[A-Za-z][\w.@-]*)").fullmatch
# An old ingress-nginx repeats the client: 203.0.113.7 - [203.0.113.7] - -.
_repeated_client = re.compile(r"(\S+) - \[\1\] - (?:-|\S+)").fullmatch
_is_host = re.compile(r"[\w.-]+(?::\d{1,5})?").fullmatch
_has_letters = re.compile(r"[A-Za-z]").search
_is_ident = re.compile(r"-|[A-Za-z][\w-]*").fullmatch


def parse(line: bytes) -> Hit | None:
    """The hit of a line; None if this is another format.

    Raises:
        BadLineError: it is this format, but not certain whose hit it is or when.
    """
    parts = _LINE(line)
    if parts is None:
        return None
    host, client = _front(parts["front"].decode("utf-8", "surrogateescape"))
    if parts["forwarded"]:
        client = clients.behind(client, parts["forwarded"].decode("utf-8", "surrogateescape"))
    if parts["more"] and not clients.is_public(client) and _names_a_public_address(parts["more"]):
        raise BadLineError(clients.TWO_CLIENTS)
    status = int(parts["status"])
    method, target = split_request(parts["request"], status)
    return Hit(
        parse_log_time(parts["time"]),
        client,
        method,
        unescaped(target),
        status,
        text_of(parts["referrer"]),
        text_of(parts["agent"]),
        host,
    )


def _front(front: str) -> tuple[str, str]:
    """The virtual host, empty if none stands there, and the client."""
    found = _plain_front(front) or _repeated_client(front)
    host, client = ("", clients.address(found[1])) if found else _host_and_client(front.split())
    if client is None:
        raise BadLineError(clients.NO_CLIENT)
    return host, client


def _names_a_public_address(more: bytes) -> bool:
    words = more.decode("utf-8", "replace").replace('"', " ").split()
    return any((ip := clients.address(word.rstrip(","))) is not None and clients.is_public(ip) for word in words)


def _host_and_client(words: list[str]) -> tuple[str, str | None]:
    """Both of `[virtual host] list ident user`; nothing else in it may be an address."""
    host = ""
    if len(words) > 1 and _is_host(words[0]) and clients.first_of(words[0]) is None:
        first, *words = words
        host = first if "." in first or ":" in first else ""  # `web1` is a machine rather than a site
    end = next((place for place, word in enumerate(words, 1) if not word.endswith(",")), 0)
    listed, others = " ".join(words[:end]), words[end:]
    if len(others) == 2 and _is_host(others[0]) and clients.first_of(others[0]) is None and _has_letters(others[0]):
        # Lighttpd's format has the virtual host in ident's place; an ident itself would be somebody's name.
        return host, clients.first_of(listed)
    if not others or not _is_ident(others[0]):
        raise BadLineError(clients.TWO_CLIENTS if others and clients.address(others[0]) else clients.NO_CLIENT)
    if any(clients.first_of(word.strip("[](),")) for word in others):
        raise BadLineError(clients.TWO_CLIENTS)
    return host, clients.first_of(listed)
