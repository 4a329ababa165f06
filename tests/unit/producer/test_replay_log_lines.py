"""Replay of web-server logs: which lines are page views, and what is kept of them."""

from pathlib import Path

import pytest

from services.producer.replay.weblog import NOT_A_LOG_LINE
from services.producer.site import parse
from tests.unit.producer.replaying import FIREFOX, GOOGLEBOT, log_line, replay_lines


def test_a_successful_get_of_a_page_is_a_page_view_with_all_that_the_line_tells(tmp_path: Path) -> None:
    line = log_line(
        request="GET /shop/shoes?utm_source=news&utm_medium=mail&utm_campaign=May%20sale&size=42 HTTP/2.0",
        referrer="https://search.example/?q=shoes",
    )
    event = replay_lines(tmp_path, line).event
    assert event.event_type == "page_view"
    assert event.event_time == "2015-05-17T10:05:03.000Z"
    assert event.page_path == "/shop/shoes"
    assert event.page_url is None
    assert event.referrer == "https://search.example/?q=shoes"
    assert (event.utm_source, event.utm_medium, event.utm_campaign) == ("news", "mail", "May sale")
    assert (event.browser, event.os, event.device_type) == ("Firefox", "Linux", "desktop")


@pytest.mark.parametrize(
    ("request_line", "status", "kind"),
    [
        ("HEAD / HTTP/1.1", 200, "method"),
        ("POST /login HTTP/1.1", 200, "method"),
        ("GET /old HTTP/1.1", 301, "redirect"),
        ("GET /old HTTP/1.1", 302, "redirect"),
        ("GET /gone HTTP/1.1", 404, "error"),
        ("GET /broken HTTP/1.1", 500, "error"),
        (r"\x16\x03\x01\x02", 400, "error"),
        ("-", 408, "error"),
        ("GET /style.css?v=3 HTTP/1.1", 200, "asset"),
        ("GET /images/a.PNG HTTP/1.1", 200, "asset"),
        ("GET /robots.txt HTTP/1.1", 200, "asset"),
        ("GET /manual.pdf HTTP/1.1", 206, "asset"),
        ("GET /sitemap.xml HTTP/1.1", 200, "asset"),
        ("GET /?flav=rss20 HTTP/1.1", 200, "feed"),
        ("GET /blog/feed/ HTTP/1.1", 304, "feed"),
        ("GET /blog/index.atom HTTP/1.1", 200, "feed"),
        ("GET /rss.xml HTTP/1.1", 200, "feed"),
    ],
)
def test_any_other_request_is_left_out_and_counted_by_its_kind(
    tmp_path: Path, request_line: str, status: int, kind: str
) -> None:
    replayed = replay_lines(tmp_path, log_line(request=request_line, status=status))
    assert not replayed.messages
    assert dict(replayed.report.skipped) == {kind: 1}
    assert not replayed.report.bad


@pytest.mark.parametrize(
    ("request_line", "status", "path"),
    [
        ("GET / HTTP/1.1", 304, "/"),
        ("GET /index.html HTTP/1.0", 200, "/index.html"),
        ("GET /wp/index.php?p=1 HTTP/1.1", 200, "/wp/index.php"),
        ("GET /talk.pdf.html HTTP/1.1", 200, "/talk.pdf.html"),
        ("GET /release-1.3 HTTP/1.1", 200, "/release-1.3"),
        ("GET /feedback HTTP/1.1", 200, "/feedback"),
        ("GET /article?source=rss20 HTTP/1.1", 200, "/article"),
        ("GET /page", 200, "/page"),
        ("GET http://example.org/page?x HTTP/1.1", 200, "/page"),
        ("GET http://example.org HTTP/1.1", 200, "/"),
        ("GET /page#part HTTP/1.1", 200, "/page"),
        ("GET /a b HTTP/1.1", 200, "/a%20b"),
        (r"GET /caf\xc3\xa9 HTTP/1.1", 200, "/café"),
        (r"GET /caf\xe9 HTTP/1.1", 200, "/caf%E9"),
        (r"GET /say\"hi\" HTTP/1.1", 200, "/say%22hi%22"),
        (r"GET /nul\x00 HTTP/1.1", 200, "/nul%00"),
        ("GET /%zz%00%ff HTTP/1.1", 200, "/%zz%00%FF"),
    ],
)
def test_a_page_path_comes_without_query_and_holds_nothing_unprintable(
    tmp_path: Path, request_line: str, status: int, path: str
) -> None:
    assert replay_lines(tmp_path, log_line(request=request_line, status=status)).paths == [path]


def test_bytes_that_are_not_utf8_never_reach_an_event(tmp_path: Path) -> None:
    line = log_line(request="GET /caf? HTTP/1.1".replace("?", "\udce9"), referrer="http://x.example/\udcff")
    event = replay_lines(tmp_path, line.encode("utf-8", "surrogateescape")).event
    assert event.page_path == "/caf%E9"
    assert event.referrer == "http://x.example/\ufffd"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not a log line at all", NOT_A_LOG_LINE),
        (log_line()[:80], NOT_A_LOG_LINE),
        (log_line(agent='quotes "inside" are not escaped'), NOT_A_LOG_LINE),
        (log_line("31/Feb/2015:10:05:03 +0000"), "no such time in the log line"),
        (log_line("17/Mai/2015:10:05:03 +0000"), "no such time in the log line"),
        (log_line("17/May/1999:10:05:03 +0000"), "event_time before the year 2000"),
        (log_line("17/May/2999:10:05:03 +0000"), "event_time in the future"),
        (log_line(request="GET /" + "a" * 512 + " HTTP/1.1"), "page_path longer than 512 bytes"),
        (log_line(request="GET /" + "é" * 256 + " HTTP/1.1"), "page_path longer than 512 bytes"),
        (log_line(request="-"), "the request is not METHOD PATH PROTOCOL"),
        (log_line(request="GET page HTTP/1.1"), "the request's target is not a path"),
    ],
)
def test_a_bad_line_is_counted_with_its_reason_and_the_next_line_is_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    replayed = replay_lines(tmp_path, line, log_line())
    assert dict(replayed.report.bad) == {reason: 1}
    assert replayed.paths == ["/page"]


def test_a_line_longer_than_a_mebibyte_is_reported_and_the_next_one_is_read(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, log_line(agent="x" * (1 << 21)), log_line())
    assert dict(replayed.report.bad) == {"longer than 1 MiB": 1}
    assert replayed.paths == ["/page"]
    assert replayed.report.lines == 2


@pytest.mark.parametrize(
    "line",
    [
        log_line(before="example.org:443 "),
        log_line(before="www.example.org "),
        log_line(address="2001:db8::1"),
        log_line(address="192.0.2.1, 198.51.100.7"),
        log_line(after=' "0.004" upstream=1'),
        log_line().replace("- - [", "- Jane Doe ["),
        '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 -',
        log_line() + "\r",
    ],
    ids=["vhost_port", "vhost", "ipv6", "forwarded", "more_fields", "user", "common", "crlf"],
)
def test_the_usual_variants_of_the_format_are_understood(tmp_path: Path, line: str) -> None:
    assert replay_lines(tmp_path, line).paths == ["/page"]


def test_a_virtual_host_does_not_stand_for_the_visitor(tmp_path: Path) -> None:
    first, second = replay_lines(tmp_path, log_line(before="a.example:80 "), log_line(before="b.example:80 ")).events
    assert first.visitor_id == second.visitor_id
    assert first.event_id != second.event_id


def test_crawlers_are_left_out_and_counted_unless_they_are_kept(tmp_path: Path) -> None:
    lines = log_line(agent=GOOGLEBOT), log_line()
    dropped = replay_lines(tmp_path, *lines)
    kept = replay_lines(tmp_path, *lines, keep_bots=True)
    assert (len(dropped.messages), dropped.report.skipped["bot"]) == (1, 1)
    assert (len(kept.messages), kept.report.skipped["bot"]) == (2, 0)
    assert dropped.event in kept.events


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "desktop"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Mobile/15E148 Safari/604", "mobile"),
        ("Mozilla/5.0 (iPad; CPU OS 7_0 like Mac OS X) AppleWebKit/537.51.1 Mobile/11A465", "tablet"),
        ("Mozilla/5.0 (Linux; Android 4.4.2; Nexus 5) AppleWebKit/537.36 Chrome/32 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Linux; Android 4.4.2; Nexus 7) AppleWebKit/537.36 Chrome/32 Safari/537.36", "tablet"),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Tablet PC 2.0)", "desktop"),
        ("something of its own", "other"),
        ("-", "other"),
    ],
)
def test_the_user_agent_tells_the_kind_of_device(tmp_path: Path, agent: str, device: str) -> None:
    assert replay_lines(tmp_path, log_line(agent=agent)).event.device_type == device


def test_neither_address_nor_user_name_leaves_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = log_line(address="198.51.100.77").replace("- - [", "- jane.doe [")
    replayed = replay_lines(tmp_path, line, line[:60], line.replace("17/May", "99/May"))
    assert replayed.report.bad.total() == 2
    shown = capsys.readouterr()
    for text in (replayed.messages[0].value.decode(), shown.out, shown.err, *replayed.report.bad):
        assert "198.51.100.77" not in text
        assert "jane" not in text


def test_the_pseudonym_depends_on_address_user_agent_and_key(tmp_path: Path) -> None:
    def visitor(key: str = "", **line: str) -> str:
        return replay_lines(tmp_path, log_line(**line), visitor_key=key).event.visitor_id  # type: ignore[arg-type]

    assert visitor() == visitor()
    assert len({visitor(), visitor(address="192.0.2.2"), visitor(agent="another"), visitor(key="secret")}) == 4


def test_the_address_of_the_site_makes_urls_of_paths(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, log_line(request="GET /a?b=c HTTP/1.1"), site=parse("https://www.example.org/"))
    assert (replayed.event.site, replayed.event.page_url) == ("example.org", "https://www.example.org/a?b=c")


def test_optional_texts_that_are_too_long_are_left_out_not_cut(tmp_path: Path) -> None:
    line = log_line(
        request=f"GET /a?utm_source={'s' * 129}&utm_medium={'m' * 128} HTTP/1.1",
        referrer="https://x.example/" + "r" * 2048,
    )
    event = replay_lines(tmp_path, line, site=parse("https://example.org")).event
    assert (event.referrer, event.utm_source, event.utm_medium) == (None, None, "m" * 128)


def test_a_url_that_is_too_long_leaves_the_site_as_it_is(tmp_path: Path) -> None:
    line = log_line(request=f"GET /a?{'b' * 2048} HTTP/1.1")
    event = replay_lines(tmp_path, line, site=parse("https://example.org")).event
    assert (event.page_url, event.site) == (None, "example.org")


def test_an_empty_line_is_no_bad_line(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, "", log_line(), "")
    assert (len(replayed.messages), replayed.report.lines, replayed.report.bad.total()) == (1, 3, 0)


def test_of_a_monstrous_user_agent_only_the_beginning_is_looked_at(tmp_path: Path) -> None:
    first, second = replay_lines(tmp_path, *(log_line(agent="a" * 500_000 + end) for end in "xy")).events
    assert first.visitor_id != second.visitor_id
    assert first.device_type == "other"
