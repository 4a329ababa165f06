"""Replay: which site an event is of. What the data says goes first, then `--site`, then the host of URL or log line."""

import json
from pathlib import Path

import pytest

from services.common.event import COLUMNS
from services.producer.site import Site, parse
from services.producer.source import Message
from tests.unit.producer import test_replay_formats as formats
from tests.unit.producer.replaying import log_line, replay_lines, validated
from tests.unit.producer.test_replay_ndjson import line

BLOG = parse("blog.example")
W3C = "#Fields: date time c-ip cs-method cs-uri-stem sc-status"


def stored(messages: list[Message]) -> list[str]:
    """The sites under which the consumer stores them."""
    return [str(row[COLUMNS.index("site")]) for row in validated(messages)]


@pytest.mark.parametrize(
    "lines",
    [
        [log_line(before="www.shop.example:443 ")],
        [log_line(before="Shop.Example ")],
        [f"web-1  | {log_line(before='shop.example:80 ')}"],
        [formats.caddy(host="shop.example:8443")],
        [formats.traefik(RequestHost="www.shop.example")],
        [formats.nginx(http_host="shop.example")],
        [formats.nginx(server_name="shop.example")],
        [json.dumps(json.loads(formats.ENVOY) | {":authority": "shop.example"})],
        [json.dumps(json.loads(formats.CLOUDFLARE) | {"ClientRequestHost": "shop.example"})],
        [formats.alb()],
        [formats.ELB],
        [f"{W3C} cs-host", f"2015-05-17 10:05:04 {formats.CLIENT} GET /page 200 shop.example"],
        [f"{W3C} cs(Host)", f"2015-05-17 10:05:04 {formats.CLIENT} GET /page 200 shop.example:8080"],
        [
            f"{W3C} cs(Host) x-host-header",
            f"2015-05-17 10:05:04 {formats.CLIENT} GET /page 200 d111.cloudfront.net shop.example",
        ],
    ],
)
def test_the_virtual_host_of_a_line_is_its_site(tmp_path: Path, lines: list[str]) -> None:
    replayed = replay_lines(tmp_path, *lines)
    assert (replayed.event.site, replayed.event.page_url) == ("shop.example", None)
    assert replay_lines(tmp_path, *lines, site=BLOG).event.site == "blog.example", "what is said goes first"


@pytest.mark.parametrize(
    ("log_format", "front"),
    [
        ('%v:%p %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"', "shop.example:443"),
        ('%V %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"', "www.shop.example"),
        ('%{Host}i %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"', "SHOP.example:8080"),
        (
            '$host $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
            '"$http_user_agent"',
            "shop.example",
        ),
        (
            '$server_name $remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
            '"$http_referer" "$http_user_agent"',
            "shop.example",
        ),
    ],
)
def test_a_log_format_says_where_the_virtual_host_stands(tmp_path: Path, log_format: str, front: str) -> None:
    event = replay_lines(tmp_path, log_line(before=f"{front} "), log_format=log_format).event
    assert event.site == "shop.example"


@pytest.mark.parametrize(
    "text",
    [
        log_line(),
        log_line(before="web1 "),
        log_line().replace(" - - [", " shop.example - ["),
        log_line().replace(" - - [", " jane.doe - ["),
        log_line(request="GET http://elsewhere.example/page HTTP/1.1"),
        formats.nginx(host="web1.internal.example"),
        formats.nginx(server_name="_"),
        formats.caddy(host="[2001:db8::1]:443"),
        formats.traefik(RequestHost="m\u00fcller.example"),
        formats.traefik(RequestHost="a" * 64),
        formats.traefik(RequestHost=None),
        formats.alb(request="GET https://[2001:db8::1]:443/page HTTP/1.1"),
    ],
)
def test_a_line_that_names_no_host_for_certain_is_of_the_given_site_else_of_none(tmp_path: Path, text: str) -> None:
    assert replay_lines(tmp_path, text).event.site is None
    assert replay_lines(tmp_path, text, site=BLOG).event.site == "blog.example"


def test_rows_and_events_say_their_site_themselves_else_by_option_else_by_their_url(tmp_path: Path) -> None:
    lines = [
        line(site="Shop.Example", page_url="https://elsewhere.example/"),
        line(event_id=None, page_url="https://elsewhere.example/"),
        line(event_id=None),
        line(event_id=None, site="undefined"),
    ]
    for name, sites in ((None, ["elsewhere.example", "default", "default"]), (BLOG, ["blog.example"] * 3)):
        assert stored(replay_lines(tmp_path, *lines, name="e.ndjson", site=name).messages) == ["shop.example", *sites]
    rows = ["event_time,visitor_id,page_url,site", "1431857103,u,https://elsewhere.example/a,shop.example"]
    rows += ["1431857103,u,https://elsewhere.example/a,-"]
    for name, by_url in ((None, "elsewhere.example"), (BLOG, "blog.example")):
        assert stored(replay_lines(tmp_path, *rows, name="e.csv", site=name).messages) == ["shop.example", by_url]


@pytest.mark.parametrize("site", ["https://shop.example/", "shop.example:443", "a b", "a" * 64])
def test_a_site_in_the_data_that_is_no_name_makes_a_bad_line(tmp_path: Path, site: str) -> None:
    replayed = replay_lines(tmp_path, line(site=site), line(), name="e.ndjson")
    assert (len(replayed.messages), replayed.report.bad.total()) == (1, 1)


@pytest.mark.parametrize("text", [log_line(), log_line(before="www.shop.example:80 "), formats.caddy()])
def test_the_same_site_gives_the_same_ids_and_another_one_others(tmp_path: Path, text: str) -> None:
    def ids(site: Site | None) -> tuple[str, str, str]:
        return replay_lines(tmp_path, text, site=site).ids[0]

    assert ids(BLOG) == ids(parse("Blog.Example")) == ids(parse("https://www.blog.example"))
    events, sessions, visitors = zip(ids(None), ids(BLOG), ids(parse("shop.example")), strict=True)
    assert (len(set(events)), len(set(sessions)), len(set(visitors))) == (3, 3, 1)


def test_foreign_ids_of_two_sites_are_those_of_different_events_and_sessions(tmp_path: Path) -> None:
    text = line(event_id="17", session_id="4")
    names = ("shop.example", "blog.example")
    first, second = (replay_lines(tmp_path, text, name="e.ndjson", site=parse(name)).ids[0] for name in names)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_visitor_of_two_sites_has_a_session_on_each(tmp_path: Path) -> None:
    hosts = ["a.example:80", "b.example:80", "www.a.example:443", "b.example:80"]
    lines = [log_line(f"17/May/2015:10:05:{second:02} +0000", before=f"{host} ") for second, host in enumerate(hosts)]
    once, again = replay_lines(tmp_path, *lines), replay_lines(tmp_path, *lines)
    assert once.ids == again.ids
    sessions = [event.session_id for event in once.events]
    assert sessions == [sessions[0], sessions[1]] * 2
    assert len(set(sessions)) == 2
    at_once = [log_line(before=f"{host} ") for host in hosts[:2]]
    assert len({event.session_id for event in replay_lines(tmp_path, *at_once).events}) == 2


def test_a_session_goes_on_from_a_url_to_the_same_site_by_name(tmp_path: Path) -> None:
    lines = [
        line(event_id=None, session_id=None, page_url="https://www.shop.example/"),
        line(event_id=None, session_id=None, site="shop.example"),
        line(event_id=None, session_id=None, page_url="https://blog.example/"),
    ]
    first, second, other = (event.session_id for event in replay_lines(tmp_path, *lines, name="e.ndjson").events)
    assert first == second != other


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("shop.example", Site("shop.example")),
        ("Shop", Site("shop")),
        ("www.shop.example", Site("www.shop.example")),
        ("https://www.Shop.example/", Site("shop.example", "https://www.Shop.example")),
        ("http://localhost:8080", Site("localhost", "http://localhost:8080")),
    ],
)
def test_a_site_is_given_by_its_name_or_by_its_address(text: str, site: Site) -> None:
    assert parse(text) == site
