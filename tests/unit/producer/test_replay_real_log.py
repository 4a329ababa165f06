"""Replay of a real log: counts equal a second, independent count of the file."""

import re
from collections import Counter

from services.common import uuid7
from services.common.timestamps import rfc3339_ms
from tests.unit.producer.replaying import REAL_LOG, replay_files, views

ASSETS = ("css", "js", "png", "jpg", "jpeg", "gif", "ico", "svg", "ttf", "woff", "swf", "xml", "xsl", "txt", "log")
DOWNLOADS = ("pdf", "doc", "gz", "jar", "exe", "gem")


def counted_another_way() -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in REAL_LOG.read_text().splitlines():
        _, request, answer, *_ = line.split('"')
        method, target, _ = request.split(" ")
        path = target.split("?")[0]
        page = not path.lower().endswith(tuple(f".{name}" for name in ASSETS + DOWNLOADS)) and "flav=" not in target
        if method == "GET" and re.match("2..|304", answer.strip()) and page:
            counts[path] += 1
    return counts


def test_with_bots_kept_the_pages_are_those_that_a_plain_count_finds() -> None:
    assert views(replay_files(REAL_LOG, keep_bots=True)) == counted_another_way()


def test_every_line_is_accounted_for() -> None:
    report = replay_files(REAL_LOG).report
    assert report.lines == len(REAL_LOG.read_bytes().splitlines())
    assert report.lines == report.events.total() + report.skipped.total() + report.bad.total()
    assert set(report.skipped) == {"asset", "bot", "error", "feed", "method", "redirect"}


def test_a_crawler_of_each_kind_is_recognised() -> None:
    text = " ".join(message.value.decode() for message in replay_files(REAL_LOG).messages)
    for name in ("Googlebot", "bingbot", "Baiduspider", "YandexBot"):
        assert name in REAL_LOG.read_text()
        assert name.lower() not in text.lower()


def test_years_old_data_keeps_its_times_and_says_what_the_consumer_needs() -> None:
    replayed = replay_files(REAL_LOG)
    assert {event.event_time[:7] for event in replayed.events} == {"2015-05"}
    assert any("EVENT_RETENTION_DAYS=0" in advice for advice in replayed.report.advice(1_700_000_000_000))


def test_an_event_id_carries_the_time_of_its_event() -> None:
    for event in replay_files(REAL_LOG).events:
        assert rfc3339_ms(uuid7.unix_ms(event.event_id)) == event.event_time
