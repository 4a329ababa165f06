"""`--log-format`: a log's own fields, in the notation of the server's own configuration.

nginx: `$remote_addr - $remote_user [$time_local] "$request" $status …`; Apache: `%h %l %u %t "%r" %>s …`. A field whose
name means nothing here is passed over, so a field can be renamed to have it left alone.
http://nginx.org/en/docs/http/ngx_http_log_module.html https://httpd.apache.org/docs/2.4/mod/mod_log_config.html
"""

import re
from dataclasses import dataclass

from services.common.errors import UserError
from services.producer.replay import clients
from services.producer.replay.hits import Hit, split_request, text_of, unescaped
from services.producer.replay.report import BadLineError
from services.producer.replay.times import parse_log_time

_NGINX = {
    "remote_addr": "client",
    "http_x_real_ip": "client",
    "http_cf_connecting_ip": "client",
    "http_true_client_ip": "client",
    "http_x_forwarded_for": "forwarded",
    "proxy_add_x_forwarded_for": "forwarded",
    "time_local": "time",
    "time_iso8601": "time",
    "msec": "time",
    "request": "request",
    "request_method": "method",
    "request_uri": "target",
    "uri": "path",
    "document_uri": "path",
    "args": "query",
    "query_string": "query",
    "status": "status",
    "http_referer": "referrer",
    "http_user_agent": "agent",
    "host": "host",
    "http_host": "host",
    "server_name": "host",
}
_APACHE = {
    "h": "client",
    "a": "client",
    "{c}a": "client",
    "{c}h": "client",
    "{x-forwarded-for}i": "forwarded",
    "{x-real-ip}i": "client",
    "t": "time",
    "r": "request",
    "m": "method",
    "U": "path",
    "q": "query",
    "s": "status",
    "{referer}i": "referrer",
    "{user-agent}i": "agent",
    "v": "host",
    "V": "host",
    "{host}i": "host",
}
_nginx_field = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_apache_field = re.compile(r"%(?:%|[<>!,\d]*(\{[^}]*\})?(\^?[A-Za-z]{1,2}))")
_EPOCHS = ("{sec}t", "{msec}t", "{usec}t")


@dataclass(frozen=True)
class LogFormat:
    """A log's format, as the pattern of its lines."""

    pattern: re.Pattern[bytes]
    names: frozenset[str]

    def parse(self, line: bytes) -> Hit | None:
        """The hit of a line; None if it is not of this format.

        Raises:
            BadLineError: it is, but there is no client, time or request where the format has it.
        """
        parts = self.pattern.fullmatch(line)
        if parts is None:
            return None
        found = {name: value or b"" for name, value in parts.groupdict().items()}
        status = int(found["status"])
        if "request" in self.names:
            method, target = split_request(found["request"], status)
        else:
            method = found.get("method", b"GET").decode("ascii", "replace")
            target = found.get("target") or _joined(found["path"], found.get("query", b""))
        return Hit(
            parse_log_time(found["time"].strip(b"[]")),
            self._client(found),
            method,
            unescaped(target),
            status,
            text_of(found.get("referrer")),
            text_of(found.get("agent")),
            found.get("host", b"").decode("ascii", "replace"),
        )

    def _client(self, found: dict[str, bytes]) -> str:
        """The forwarded list's, where the format has one and it says something; else the address that asked."""
        for name in ("forwarded", "client"):
            client = clients.named(found[name].decode("utf-8", "surrogateescape")) if name in found else None
            if client is not None:
                return client
        raise BadLineError("no client's address where --log-format has it")


def compiled(text: str) -> LogFormat:
    """The format of `--log-format`.

    Raises:
        UserError: it is neither notation, or lacks what a page view can't do without.
    """
    text = text.strip().replace(r"\"", '"').replace(r"\t", "\t")
    nginx = _nginx_field.search(text) is not None
    pieces, names = _pieces(text, nginx)
    pattern = "".join(pieces)
    for needed, remedy in (
        (("client", "forwarded"), "$remote_addr or %h"),
        (("time",), "$time_local or %t"),
        (("status",), "$status or %>s"),
        (("request", "target", "path"), "$request or %r"),
    ):
        if not set(needed) & names:
            raise UserError(f"--log-format: {remedy} is missing: a page view can't do without")
    return LogFormat(re.compile(pattern.encode(), re.DOTALL), frozenset(names))


def _pieces(text: str, nginx: bool) -> tuple[list[str], set[str]]:
    pieces: list[str] = []
    names: set[str] = set()
    end = 0
    for field in (_nginx_field if nginx else _apache_field).finditer(text):
        pieces.append(re.escape(text[end : field.start()]))
        end = field.end()
        name = _nginx_name(field) if nginx else _apache_name(field)
        value = _value(name, text[field.start() - 1 : field.start()], text[end : end + 1], brackets=not nginx)
        if field[0] == "%%":
            pieces.append("%")
        elif name is None or name in names:
            pieces.append(value)
        else:
            names.add(name)
            pieces.append(f"(?P<{name}>{value})")
    return [*pieces, re.escape(text[end:])], names


def _nginx_name(field: re.Match[str]) -> str | None:
    return _NGINX.get(field[1] or field[2])


def _apache_name(field: re.Match[str]) -> str | None:
    argument, letter = field[1], field[2]
    if letter == "t" and argument:
        return "time" if argument.lower() + "t" in _EPOCHS or "%" in argument else None
    return _APACHE.get(f"{argument.lower()}{letter}" if argument else letter or "")


def _value(name: str | None, before: str, after: str, *, brackets: bool) -> str:
    """What a field holds: up to what stands behind it, no further; a list may have spaces behind its commas."""
    if before == '"' and after == '"':
        return r'[^"\\]*(?:\\.[^"\\]*)*'
    if before == "[" and after == "]":
        return r"[^\]]*"
    if name == "status":
        return r"\d{3}"
    if name == "time":
        return r"\[[^\]]*\]|\S+" if brackets else r"\S+(?: [+-]\d{4})?"
    if name in ("client", "forwarded"):
        return r"[^\s,]+(?:, ?[^\s,]+)*"
    if after.isspace() or after.isalnum():
        return r"\S*"
    return f"[^{re.escape(after)}]*" if after else ".*"


def _joined(path: bytes, query: bytes) -> bytes:
    query = query.removeprefix(b"?")
    return path if query in (b"", b"-") else path + b"?" + query
