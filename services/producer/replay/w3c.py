"""The W3C Extended Log File Format: of IIS (fields apart by spaces, `+` for a space) and of CloudFront (by tabs).

What a column means is told by the line `#Fields:` before it; without one, nothing is read. Times are UTC.
https://www.w3.org/TR/WD-logfile.html
"""

import re
from urllib.parse import unquote

from services.producer.replay import clients
from services.producer.replay.hits import Hit, printable
from services.producer.replay.report import BadLineError
from services.producer.replay.times import parse_log_time

_directive = re.compile(
    rb"#(?:Software|Version|Start-Date|End-Date|Date|Fields|Remark|GMT-Offset):", re.IGNORECASE
).match
_date = re.compile(rb"\d{4}-\d\d-\d\d[ \t]").match
_words = re.compile(r'"(?:[^"]|"")*"|\S+').findall
_FORWARDED = ("x-forwarded-for", "cs(x-forwarded-for)", "cs-x-forwarded-for")
_REFERRERS = ("cs(referer)", "cs(referrer)")
# CloudFront's cs(Host) is its own name, x-host-header the one that was asked for.
_HOSTS = ("x-host-header", "cs-host", "cs(host)")
_NEEDED = ("date", "time", "c-ip", "cs-method", "sc-status")
_TWICE_ESCAPED = re.compile(r"%25[0-9A-Fa-f]{2}")


class Log:
    """One file's lines: it remembers its `#Fields`."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def is_directive(self, line: bytes) -> bool:
        """Whether the line tells of the lines after it; `#Fields` is remembered.

        Raises:
            BadLineError: a field is not there that a hit can't do without.
        """
        if not _directive(line):
            return False
        if line[:8].lower() == b"#fields:":
            self._names = line[8:].decode("utf-8", "replace").lower().split()
            missing = [name for name in _NEEDED if name not in self._names]
            if not {"cs-uri-stem", "cs-uri"} & set(self._names):
                missing.append("cs-uri-stem")
            if missing:
                self._names = []
                raise BadLineError(f"#Fields has no {', '.join(missing)}")
        return True

    def parse(self, line: bytes) -> Hit | None:
        """The hit of a line; None if this is another format, or its fields are not known.

        Raises:
            BadLineError: it is this format, but something in it is not as `#Fields` says.
        """
        if not self._names or not _date(line):
            return None
        text = line.decode("utf-8", "surrogateescape")
        values = text.split("\t") if "\t" in text else _words(text)
        if len(values) != len(self._names):
            raise BadLineError("not as many fields as #Fields says")
        return _hit({name: value.strip('"') for name, value in zip(self._names, values, strict=True)}, "\t" in text)


def _hit(fields: dict[str, str], tabs: bool) -> Hit:
    client = clients.address(fields["c-ip"])
    if client is None:
        raise BadLineError(clients.NO_CLIENT)
    if "x-edge-location" not in fields:  # CloudFront's c-ip is the viewer's
        client = clients.behind(client, _unescaped(_first(fields, _FORWARDED), tabs))
    status = fields["sc-status"]
    if not (status.isascii() and status.isdigit()):
        raise BadLineError("sc-status is not a number")
    return Hit(
        parse_log_time(f"{fields['date']} {fields['time']}Z".encode("utf-8", "replace")),
        client,
        fields["cs-method"],
        _target(fields),
        int(status),
        _unescaped(_first(fields, _REFERRERS), tabs=True),
        _unescaped(fields.get("cs(user-agent)", "-"), tabs),
        _first(fields, _HOSTS),
    )


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if name in fields), "-")


def _target(fields: dict[str, str]) -> bytes:
    if "cs-uri-stem" not in fields:
        return fields["cs-uri"].encode("utf-8", "surrogateescape")
    query = fields.get("cs-uri-query", "-")
    target = fields["cs-uri-stem"] if query in ("-", "") else f"{fields['cs-uri-stem']}?{query}"
    return target.encode("utf-8", "surrogateescape")


def _unescaped(text: str, tabs: bool) -> str:
    """IIS writes a space as `+`, CloudFront as `%20`, and used to as `%2520`."""
    if text == "-":
        return ""
    if not tabs:
        return printable(text.replace("+", " ").encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return printable(unquote(unquote(text) if _TWICE_ESCAPED.search(text) else text, errors="replace"))
