"""Replay of other servers' logs: JSON of Caddy, Traefik and nginx, W3C of IIS and CloudFront, AWS load balancers.

The shapes come from the servers' documentation and from reports to log analysers that could not read them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import UserError
from services.producer.replay.weblog import NOT_OF_THIS_FORMAT
from tests.unit.producer.replaying import FIREFOX, GOOGLEBOT, log_line, replay_lines

CLIENT = "203.0.113.7"
TIME = "2015-05-17T10:05:03.000Z"
PLAIN = log_line(address=CLIENT, request="GET /page?a=b HTTP/1.1", referrer="https://x.example/")
IIS_FIELDS = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) "
    "sc-status sc-substatus sc-win32-status time-taken"
)
CLOUDFRONT_FIELDS = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type"
)


def caddy(**changes: Any) -> str:
    request = {
        "remote_ip": "10.0.0.1",
        "remote_port": "49152",
        "client_ip": CLIENT,
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "shop.example",
        "uri": "/page?a=b",
        "headers": {"User-Agent": [FIREFOX], "Referer": ["https://x.example/"], "X-Forwarded-For": ["198.51.100.9"]},
    }
    fields = {"level": "info", "ts": 1431857103.0, "msg": "handled request", "request": request | changes}
    return json.dumps(fields | {"user_id": "", "duration": 0.001, "size": 12, "status": 200})


def traefik(**changes: Any) -> str:
    fields = {
        "ClientAddr": f"{CLIENT}:49152",
        "ClientHost": CLIENT,
        "ClientUsername": "-",
        "DownstreamStatus": 200,
        "Duration": 12345,
        "RequestHost": "shop.example",
        "RequestMethod": "GET",
        "RequestPath": "/page?a=b",
        "StartUTC": "2015-05-17T10:05:03.000000001Z",
        "request_Referer": "https://x.example/",
        "request_User-Agent": FIREFOX,
        "time": "2015-05-17T10:05:04Z",
    }
    return json.dumps(fields | changes)


def nginx(**changes: Any) -> str:
    fields = {
        "time_iso8601": "2015-05-17T12:05:03+02:00",
        "remote_addr": CLIENT,
        "request": "GET /page?a=b HTTP/1.1",
        "status": "200",
        "http_referer": "https://x.example/",
        "http_user_agent": FIREFOX,
        "http_x_forwarded_for": "",
    }
    return json.dumps({name: value for name, value in (fields | changes).items() if value is not None})


def iis(agent: str = FIREFOX, client: str = CLIENT, path: str = "/page a=b", status: int = 200) -> str:
    return (
        f"2015-05-17 10:05:03 10.0.0.1 GET {path} 443 - {client} {agent.replace(' ', '+')} https://x.example/ "
        f"{status} 0 0 15"
    )


def cloudfront(agent: str = FIREFOX.replace(" ", "%20"), path: str = "/page", query: str = "a=b") -> str:
    fields = ("2015-05-17", "10:05:03", "FRA2", "512", CLIENT, "GET", "d111.cloudfront.net", path, "200")
    return "\t".join((*fields, "https://x.example/", agent, query, "-", "Hit"))


def alb(client: str = f"{CLIENT}:2817", request: str = "GET https://shop.example:443/page?a=b HTTP/1.1") -> str:
    return (
        f"h2 2015-05-17T10:05:03.000000Z app/web/50dc6c495c0c9188 {client} 10.0.0.1:80 0.0 0.001 0.0 200 200 34 366 "
        f'"{request}" "{FIREFOX}" ECDHE TLSv1.2 arn:aws:x "Root=1-58337364" "-" "-" 0 2015-05-17T10:05:02Z "forward"'
    )


ELB = alb().removeprefix("h2 ").partition(" arn")[0].replace("app/web/50dc6c495c0c9188", "web")
IIS_QUOTED = iis().replace(FIREFOX.replace(" ", "+"), f'"{FIREFOX}"')
ENVOY = json.dumps(
    {
        "start_time": TIME,
        "method": "GET",
        "path": "/page?a=b",
        "response_code": 200,
        "x_forwarded_for": f"{CLIENT},10.0.0.2",
        "downstream_remote_address": "10.0.0.1:49152",
        "referer": "https://x.example/",
        "user_agent": FIREFOX,
    }
)
CLOUDFLARE = json.dumps(
    {
        "EdgeStartTimestamp": 1431857103000000000,
        "ClientIP": CLIENT,
        "ClientRequestMethod": "GET",
        "ClientRequestURI": "/page?a=b",
        "EdgeResponseStatus": 200,
        "ClientRequestReferer": "https://x.example/",
        "ClientRequestUserAgent": FIREFOX,
    }
)
DOCKER = json.dumps({"log": PLAIN + "\n", "stream": "stdout", "time": "2015-05-17T10:05:09.1Z"})


@pytest.mark.parametrize(
    "lines",
    [
        [caddy()],
        [caddy(client_ip=None, remote_ip=CLIENT, headers={"User-Agent": [FIREFOX], "Referer": ["https://x.example/"]})],
        [traefik()],
        [nginx()],
        [nginx(time_iso8601=None, time_local="17/May/2015:10:05:03 +0000")],
        [nginx(time_iso8601=None, msec="1431857103.000")],
        [nginx(remote_addr="10.0.0.1", http_x_forwarded_for=f"{CLIENT}, 10.0.0.2")],
        [nginx(request=None, request_method="GET", uri="/page", args="a=b")],
        [nginx(request=None, method="GET", path="/page", request_query="a=b")],
        [ENVOY],
        [CLOUDFLARE],
        [DOCKER],
        [json.dumps({"log": nginx() + "\n", "stream": "stdout", "time": "2015-05-17T10:05:09.1Z"})],
        [f"2015-05-17T10:05:03.1Z stdout F {traefik()}"],
        [f"web-1  | {caddy()}"],
        ["#Software: Microsoft Internet Information Services 10.0", "#Version: 1.0", IIS_FIELDS, iis()],
        ["#Version: 1.0", CLOUDFRONT_FIELDS, cloudfront()],
        ["#Version: 1.0", CLOUDFRONT_FIELDS, cloudfront(agent=FIREFOX.replace(" ", "%2520"))],
        ["#Version: 1.0", "#Date: 2015-05-17 10:00:00", IIS_FIELDS.replace(":", ":  ", 1), IIS_QUOTED],
        [IIS_FIELDS + " X-Forwarded-For", iis(client="10.0.0.1") + f" {CLIENT},+10.0.0.2"],
        [IIS_FIELDS + " X-Forwarded-For", iis(client="fe80::63ae%3") + f" {CLIENT}"],
        [json.dumps({"@timestamp": "2015-05-17T10:05:09Z", "log": PLAIN + "\n", "kubernetes": {"pod_name": "web"}})],
        [alb()],
        [ELB],
    ],
)
def test_the_same_request_is_the_same_page_view_in_every_servers_log(tmp_path: Path, lines: list[str]) -> None:
    replayed = replay_lines(tmp_path, *lines)
    assert not replayed.report.bad, replayed.report.bad
    event, expected = replayed.event, replay_lines(tmp_path, PLAIN, name="plain.log").event
    assert (event.event_time, event.page_path, event.visitor_id) == (TIME, "/page", expected.visitor_id)
    assert (event.browser, event.os, event.device_type) == (expected.browser, expected.os, expected.device_type)
    if lines[0] not in (alb(), ELB):
        assert event.referrer == "https://x.example/"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([nginx(remote_addr=None)], "no client's address in the JSON of the log line"),
        ([nginx(status=None)], "no status in the JSON of the log line"),
        ([nginx(time_iso8601=None)], "no time in the JSON of the log line"),
        ([nginx(time_iso8601="2015-05-17T10:05:03")], "the log line's time has no zone"),
        (
            [nginx(http_x_forwarded_for="198.51.100.9")],
            "two addresses could be the client's: --log-format says which is",
        ),
        ([traefik(RequestMethod="POST")], None),
        ([caddy(uri="/a.png")], None),
        ([caddy(headers={"User-Agent": [GOOGLEBOT]})], None),
        (
            [json.dumps({"level": "error", "msg": "no access log"})],
            "no client's address, time, status, method in the JSON of the log line",
        ),
        (["{broken"], "not a JSON object"),
        ([IIS_FIELDS, iis() + " more"], "not as many fields as #Fields says"),
        ([IIS_FIELDS, iis(status=404)], None),
        ([IIS_FIELDS, iis(client="-")], "which word is the client's address is not certain: --log-format says it"),
        (["#Fields: date time cs-method cs-uri-stem sc-status"], "#Fields has no c-ip"),
        (["#Fields:  date-local time-local c-ip cs-method cs-uri-stem sc-status"], "#Fields has no date, time"),
        ([alb(request="- http://shop.example:80- ")], None),
    ],
)
def test_what_is_no_page_view_is_left_out_and_what_is_not_certain_is_bad(
    tmp_path: Path, lines: list[str], reason: str | None
) -> None:
    replayed = replay_lines(tmp_path, *lines)
    assert not replayed.messages
    assert dict(replayed.report.bad) == ({reason: 1} if reason else {})
    assert replayed.report.skipped.total() == (0 if reason else 1)


@pytest.mark.parametrize("client", ["2001:db8::50:2817", "[2001:db8::50]:2817"])
@pytest.mark.parametrize(
    "request_line", ["GET https://[2001:db8::1]:443/page HTTP/1.1", "GET https://x:443/page HTTP/2.0"]
)
def test_a_load_balancers_client_ends_before_its_port(tmp_path: Path, client: str, request_line: str) -> None:
    expected = replay_lines(tmp_path, log_line(address="2001:db8::50"), name="plain.log").event
    event = replay_lines(tmp_path, alb(client, request_line)).event
    assert (event.visitor_id, event.page_path) == (expected.visitor_id, "/page")


def test_a_load_balancer_that_reached_no_server_has_no_page_view(tmp_path: Path) -> None:
    line = alb().replace("10.0.0.1:80 0.0 0.001 0.0 200 200", "- -1 -1 -1 400 -")
    assert dict(replay_lines(tmp_path, line).report.skipped) == {"error": 1}


def test_w3c_lines_without_their_fields_are_bad_and_new_fields_count_from_there(tmp_path: Path) -> None:
    fewer = "#Fields: date time c-ip cs-method cs-uri-stem sc-status"
    lines = iis(), IIS_FIELDS, iis(), fewer, f"2015-05-17 10:05:04 {CLIENT} GET /other 200"
    replayed = replay_lines(tmp_path, *lines)
    assert replayed.paths == ["/page", "/other"]
    assert replayed.report.bad.total() == 1
    assert dict(replayed.report.passed_over) == {"header": 2}


def test_a_space_of_iis_is_a_plus_only_in_the_agent(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, IIS_FIELDS, iis(path="/a+b -"))
    assert replayed.paths == ["/a+b"]


@pytest.mark.parametrize("name", ["access.json", "access.log", "access.jsonl"])
def test_json_is_told_apart_by_what_it_holds_not_by_its_name(tmp_path: Path, name: str) -> None:
    event = '{"event_time":1431857103,"event_type":"click","visitor_id":"v","device_type":"other","page_path":"/a"}'
    assert replay_lines(tmp_path, caddy(), name=name).event.event_type == "page_view"
    assert replay_lines(tmp_path, event, name=name).event.event_type == "click"


PROXY_MANAGER = (
    "[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host "
    '"$request_uri" [Client $remote_addr] [Length $body_bytes_sent] "$http_user_agent" "$http_referer"'
)


@pytest.mark.parametrize(
    ("log_format", "line"),
    [
        (
            '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
            '"$http_user_agent"',
            PLAIN,
        ),
        (
            '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
            '"$http_user_agent" "$http_x_forwarded_for"',
            log_line(address="198.51.100.1", referrer="https://x.example/", after=f' "{CLIENT}, 10.0.0.1"'),
        ),
        (
            '$http_x_forwarded_for $remote_addr - [${time_local}] "$request" $status "$http_user_agent"',
            f'{CLIENT}, 10.0.0.1 10.0.0.2 - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 "{FIREFOX}"',
        ),
        (
            PROXY_MANAGER,
            f'[17/May/2015:10:05:03 +0000] - 200 200 - GET https shop.example "/page" [Client {CLIENT}] [Length 25] '
            f'"{FIREFOX}" "-"',
        ),
        (r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"", PLAIN),
        ('%{X-Forwarded-For}i %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-agent}i"', f"{CLIENT}, 10.0.0.9 {PLAIN}"),
        (
            '%v:%p %a %{%Y-%m-%dT%H:%M:%S%z}t "%m" "%U" "%q" %s "%{User-Agent}i"',
            f'shop.example:443 {CLIENT} 2015-05-17T10:05:03+0000 "GET" "/page" "?a=b" 200 "{FIREFOX}"',
        ),
        ('%h %{msec}t "%r" %>s "%{User-Agent}i"', f'{CLIENT} 1431857103000 "GET /page HTTP/1.1" 200 "{FIREFOX}"'),
        (
            "$remote_addr|$msec|$request|$status|$http_user_agent",
            f"{CLIENT}|1431857103.000|GET /page HTTP/1.1|200|{FIREFOX}",
        ),
        (
            '$remote_addr\\t$time_iso8601\\t"$request"\\t$status\\t"$http_user_agent"',
            f'{CLIENT}\t2015-05-17T10:05:03+00:00\t"GET /page HTTP/1.1"\t200\t"{FIREFOX}"',
        ),
        ('%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"', f"May 17 10:05:00 web1 httpd: {PLAIN}"),
    ],
)
def test_a_log_format_is_what_the_server_is_configured_with(tmp_path: Path, log_format: str, line: str) -> None:
    event = replay_lines(tmp_path, line, log_format=log_format).event
    expected = replay_lines(tmp_path, PLAIN).event
    assert (event.event_time, event.page_path, event.visitor_id) == (TIME, "/page", expected.visitor_id)


def test_a_host_name_is_a_client_where_the_format_says_so(tmp_path: Path) -> None:
    given = {"log_format": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'}
    lines = log_line(address="host.example.org"), log_line(address="HOST.example.org"), log_line(address="-")
    replayed = replay_lines(tmp_path, *lines, **given)
    assert len({event.visitor_id for event in replayed.events}) == 1
    assert dict(replayed.report.bad) == {"no client's address where --log-format has it": 1}


def test_a_line_of_another_format_than_the_given_one_is_bad(tmp_path: Path) -> None:
    given = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
    lines = f"web 17 {PLAIN}", PLAIN + ' "more"', PLAIN.partition(' "https')[0], PLAIN.replace("- - [", "- J D [")
    replayed = replay_lines(tmp_path, *lines, log_format=given)
    assert dict(replayed.report.bad) == {NOT_OF_THIS_FORMAT: 4}


@pytest.mark.parametrize(
    ("log_format", "missing"),
    [
        ('$time_local "$request" $status', "remote_addr or %h"),
        ('%h "%r" %>s', "time_local or %t"),
        ('%h %t "%r"', "status or %>s"),
        ("$remote_addr $time_local $status", "request or %r"),
        ("COMBINED", "remote_addr or %h"),
    ],
)
def test_a_log_format_that_lacks_something_is_told_before_anything_is_sent(
    tmp_path: Path, log_format: str, missing: str
) -> None:
    with pytest.raises(UserError, match=missing):
        replay_lines(tmp_path, PLAIN, log_format=log_format)
