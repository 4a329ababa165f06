"""Logs of one JSON object a line: Caddy, Traefik, Envoy, Cloudflare, nginx by its variables' names; Docker's wrapping.

A value is taken only by a name that says what it is; what is the client follows the same rules as in text.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from services.producer.replay import clients
from services.producer.replay.hits import Hit, printable, split_request
from services.producer.replay.report import BadLineError
from services.producer.replay.times import parse_log_time

_TIMES = (
    "ts",
    "StartUTC",
    "time_iso8601",
    "time_local",
    "msec",
    "@timestamp",
    "timestamp",
    "time",
    "start_time",
    "EdgeStartTimestamp",
)
_CLIENTS = (
    *("client_ip", "remote_ip", "ClientHost", "remote_addr", "ClientAddr", "RemoteAddr", "ClientIP"),
    "downstream_remote_address",
)
_FORWARDED = (
    *("http_x_forwarded_for", "x_forwarded_for", "x_forward_for", "proxy_add_x_forwarded_for"),
    *("request_X-Forwarded-For", "X-Forwarded-For"),
)
_METHODS = ("method", "request_method", "RequestMethod", "ClientRequestMethod")
_TARGETS = ("uri", "request_uri", "RequestPath", "path", "ClientRequestURI")
_QUERIES = ("args", "query_string", "request_query")
_STATUSES = ("status", "DownstreamStatus", "response_code", "EdgeResponseStatus")
_REFERRERS = (
    "http_referer",
    "http_referrer",
    "referer",
    "referrer",
    "request_Referer",
    "Referer",
    "ClientRequestReferer",
)
_AGENTS = ("http_user_agent", "user_agent", "agent", "request_User-Agent", "User-Agent", "ClientRequestUserAgent")
# A `host` may be the machine that wrote the line; but Caddy's, of the request.
_HOSTS = ("http_host", "server_name", "RequestHost", "ClientRequestHost", ":authority", "authority", "vhost")
_CADDYS_HOST = "request_host"
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def unwrapped(line: bytes) -> bytes:
    """The line that Docker's json-file driver, or Fluent Bit after it, has wrapped as `log`; any other as it is."""
    if not (line.startswith(b"{") and b'"log"' in line):
        return line
    try:
        text = _decode(line).get("log")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line
    return text.rstrip("\r\n").encode("utf-8", "surrogatepass") if isinstance(text, str) else line


def parse(line: bytes) -> Hit | None:
    """The hit of a line; None if it is no JSON object.

    Raises:
        BadLineError: something is not there that a hit can't do without, or the client is not certain.
    """
    if not line.startswith(b"{"):
        return None
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadLineError("not a JSON object") from None
    return _hit(_flat(fields))


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """The object with Caddy's `request` and its headers in one: of a header, which is a list, the first."""
    request = fields.get("request")
    if not isinstance(request, dict):
        return fields
    headers = request.get("headers")
    flat = {name: value for name, value in fields.items() if name != "request"} | request
    flat[_CADDYS_HOST] = request.get("host")
    if isinstance(headers, dict):
        flat |= {name: value[0] if isinstance(value, list) and value else value for name, value in headers.items()}
    return flat


def _hit(fields: dict[str, Any]) -> Hit:
    written = _text(fields, _TIMES)
    status = _text(fields, _STATUSES)
    method, target = _request(fields, status)
    client = _client(fields)
    missing = [
        name
        for name, value in (("client's address", client), ("time", written), ("status", status), ("method", method))
        if not value
    ]
    if missing or client is None:
        raise BadLineError(f"no {', '.join(missing)} in the JSON of the log line")
    if not (status.isascii() and status.isdigit() and len(status) == 3):
        raise BadLineError("the status is not a number of three digits")
    return Hit(
        parse_log_time(written.encode("utf-8", "replace")),
        client if "client_ip" in fields else clients.behind(client, _text(fields, _FORWARDED)),
        method,
        target.encode("utf-8", "surrogatepass"),
        int(status),
        printable(_text(fields, _REFERRERS)),
        printable(_text(fields, _AGENTS)),
        _text(fields, (_CADDYS_HOST, *_HOSTS)),
    )


def _client(fields: dict[str, Any]) -> str | None:
    text = _text(fields, _CLIENTS)
    return clients.address(text) if text else clients.first_of(_text(fields, _FORWARDED))


def _request(fields: dict[str, Any], status: str) -> tuple[str, str]:
    whole = fields.get("request")
    if isinstance(whole, str):
        method, raw = split_request(whole.encode("utf-8", "surrogatepass"), int(status) if status.isdigit() else 0)
        return method or "-", raw.decode("utf-8", "replace")
    target, query = _text(fields, _TARGETS), _text(fields, _QUERIES)
    return _text(fields, _METHODS), f"{target}?{query}" if query and "?" not in target else target


def _text(fields: dict[str, Any], names: Iterable[str]) -> str:
    """The first of these that says something, as text."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return repr(value)
        if isinstance(value, str) and value not in ("", "-"):
            return value
    return ""
