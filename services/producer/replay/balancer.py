"""Access logs of AWS load balancers: of applications (ALB) and classic ones (ELB).

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
"""

import re

from services.producer.replay import clients
from services.producer.replay.hits import Hit, split_request, text_of, unescaped
from services.producer.replay.report import BadLineError
from services.producer.replay.times import parse_log_time

_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z"
_LINE = re.compile(
    rb"(?s)(?:(?:https?|h2|grpcs|wss?) )?(?P<time>%s) \S+ (?P<client>\S+):\d+ \S+ " % _ISO
    + rb"-?[\d.]+ -?[\d.]+ -?[\d.]+ (?P<status>\d{3}|-) \S+ \d+ \d+ "
    + rb'"(?P<request>[^"\\]*(?:\\.[^"\\]*)*)" "(?P<agent>[^"\\]*(?:\\.[^"\\]*)*)" \S+ \S+(?: .*)?$'
).match

_host = re.compile(rb"(?:https?|wss?)://([^/?#]+)", re.IGNORECASE).match


def parse(line: bytes) -> Hit | None:
    """The hit of a line; None if this is another format.

    Raises:
        BadLineError: there is no such client or time.
    """
    parts = _LINE(line)
    if parts is None:
        return None
    client = clients.address(parts["client"].decode("utf-8", "surrogateescape"))
    if client is None:
        raise BadLineError(clients.NO_CLIENT)
    status = int(parts["status"]) if parts["status"] != b"-" else 499  # the client was gone before an answer
    request = parts["request"].strip()
    method, target = ("", b"") if request.startswith(b"- ") else split_request(request, status)
    asked = _host(target)
    host = asked[1].decode("ascii", "replace") if asked else ""
    time_ms, agent = parse_log_time(parts["time"]), text_of(parts["agent"])
    return Hit(time_ms, client, method, unescaped(target), status, agent=agent, host=host)
