"""Replay of web-server logs: only what certainly is the client stands for the visitor; anything else is a bad line.

The lines' shapes come from reports about log analysers: GoAccess, Matomo, AWStats, Fluent Bit, ingress-nginx.
"""

from pathlib import Path

import pytest

from services.producer.replay.clients import NO_CLIENT, TWO_CLIENTS, address, first_of
from tests.unit.producer.replaying import FIREFOX, log_line, replay_lines

CLIENT = "203.0.113.7"
PLAIN = log_line(address=CLIENT)


def visitors(folder: Path, *lines: str) -> set[str]:
    replayed = replay_lines(folder, *lines)
    assert not replayed.report.bad, replayed.report.bad
    assert len(replayed.events) == len(lines)
    return {event.visitor_id for event in replayed.events}


@pytest.mark.parametrize(
    "line",
    [
        f"shop.example {PLAIN}",
        f"shop.example:443 {PLAIN}",
        f"web1 {PLAIN}",
        log_line(address=f"{CLIENT}, 10.0.0.1"),
        log_line(address=f"10.0.0.9, {CLIENT}, 10.0.0.1"),
        log_line(address=f"unknown, {CLIENT}"),
        log_line(address=f"{CLIENT},10.0.0.1"),
        log_line(address=f"shop.example {CLIENT}, 10.0.0.1"),
        log_line(address=f"{CLIENT}:49152"),
        log_line(address=f"::ffff:{CLIENT}"),
        PLAIN.replace("- - [", "-  -  ["),
        PLAIN.replace("- - [", '- "" ['),
        PLAIN.replace("- - [", "- jane.doe@shop.example ["),
        PLAIN.replace("- - [", "- Jane Doe ["),
        PLAIN.replace("- - [", "- - 0.011 ["),
        PLAIN.replace("- - [", "identd frank ["),
        PLAIN.replace("- - [", f"- [{CLIENT}] - - ["),
        PLAIN.replace("- - [", f"- [{CLIENT}] - admin [") + " 69 1.4 [web-80] [] 10.0.0.5:80 166 1.4 200 8688e0",
        log_line(address="10.0.0.1", after=f' "{CLIENT}"'),
        log_line(address="10.0.0.1", after=f' "{CLIENT}, 10.0.0.2" "0.004" "10.0.0.5:8080"'),
        log_line(address=CLIENT, after=f' "{CLIENT}"'),
        log_line(address=CLIENT, after=' "-" "10.0.0.5:8080"'),
        log_line(address=CLIENT, after=' "10.0.0.5:8080"'),
        log_line(address=CLIENT, after=' "192.168.0.9"'),
        f" {PLAIN}",
        PLAIN.replace("- - [", "shop.example - ["),
        log_line(address=CLIENT, after=' 17 "router@docker" "http://10.0.0.5:80" 3ms'),
        log_line(address=CLIENT, after=' "0.004" "198.51.100.1"'),
        f"May 17 10:05:00 web1 nginx: {PLAIN}",
        f"May  7 10:05:00 web1 nginx[812]: {PLAIN}",
        f"May 17 10:05:00 198.51.100.20 nginx: {PLAIN}",
        f"May 17 10:05:00 web1 {PLAIN}",
        f"May 17 10:05:00 nginx: {PLAIN}",
        f"<190>May 17 10:05:00 web1 nginx: {PLAIN}",
        f"<190>May 17 10:05:00 web1 nginx: shop.example {CLIENT}, 10.0.0.1 {PLAIN.partition(' ')[2]}",
        f"2015-05-17T10:05:03.123456+00:00 web1 nginx: {PLAIN}",
        f"<190>1 2015-05-17T10:05:03.123Z web1 nginx 812 - - {PLAIN}",
        f'<190>1 2015-05-17T10:05:03Z web1 nginx 812 access [a@1 b="c"] \ufeff{PLAIN}',
        f"2015-05-17T10:05:03.123456789Z {PLAIN}",
        f"2015-05-17T10:05:03.123456789Z stdout F {PLAIN}",
        f"web-1  | {PLAIN}",
        f"shop_web_1      | 2015-05-17T10:05:03.123456789Z {PLAIN}",
        f"\x1b[36mweb-1  | \x1b[0m{PLAIN}",
        f"[pod/web-5f7c/nginx] {PLAIN}",
    ],
)
def test_the_client_is_found_whatever_stands_around_it(tmp_path: Path, line: str) -> None:
    assert len(visitors(tmp_path, PLAIN, line)) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (log_line(address=f"{CLIENT} 10.0.0.1"), TWO_CLIENTS),
        (log_line(address=f"10.0.0.1 {CLIENT}"), TWO_CLIENTS),
        (log_line(address=f"198.51.100.4:443 {CLIENT}"), TWO_CLIENTS),
        (log_line(address=f"shop.example {CLIENT} 10.0.0.1"), TWO_CLIENTS),
        (PLAIN.replace("- - [", "- 198.51.100.9 ["), TWO_CLIENTS),
        (PLAIN.replace("- - [", "- - 198.51.100.9, 10.0.0.1 ["), TWO_CLIENTS),
        (log_line(address="198.51.100.1", after=f' "{CLIENT}"'), TWO_CLIENTS),
        (log_line(address="10.0.0.1", after=' "10.0.0.2"'), TWO_CLIENTS),
        (log_line(address="10.0.0.1", after=f' "0.004" "{CLIENT}"'), TWO_CLIENTS),
        (log_line(address="10.0.0.1", after=f" {CLIENT}, 10.0.0.2"), TWO_CLIENTS),
        (log_line(address=CLIENT).replace("- - [", "203.0.113.8:443 - ["), TWO_CLIENTS),
        (log_line(address="host.example.org"), NO_CLIENT),
        (log_line(address="localhost"), NO_CLIENT),
        (log_line(address="-"), NO_CLIENT),
        (log_line(address="unix:"), NO_CLIENT),
        (log_line(address="unknown"), NO_CLIENT),
        (log_line(address=f"{CLIENT}, web1"), NO_CLIENT),
        (log_line(address="203.0.113.700"), NO_CLIENT),
        (log_line(address="1431857103.123"), NO_CLIENT),
        (PLAIN.replace("- - [", "["), NO_CLIENT),
        (PLAIN.replace("- - [", "0.004 - ["), NO_CLIENT),
    ],
)
def test_a_line_whose_client_is_not_certain_is_a_bad_line_that_says_so(tmp_path: Path, line: str, reason: str) -> None:
    replayed = replay_lines(tmp_path, line)
    assert dict(replayed.report.bad) == {reason: 1}
    assert not replayed.messages


def test_five_visitors_behind_a_virtual_host_and_a_list_are_five(tmp_path: Path) -> None:
    lines = [log_line(address=f"shop.example 203.0.113.{number}, 10.0.0.1") for number in range(5)]
    assert len(visitors(tmp_path, *lines)) == 5


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("::ffff:203.0.113.7", CLIENT),
        ("203.0.113.7:8080", CLIENT),
        ("203.0.113", None),
        ("203.0.113.7/24", None),
        ("", None),
    ],
)
def test_an_address_has_one_spelling(written: str, read: str | None) -> None:
    assert address(written) == read


@pytest.mark.parametrize(
    ("listed", "client"),
    [
        ("10.0.0.1, 203.0.113.7, 198.51.100.1", CLIENT),
        ("192.168.0.2, 10.0.0.1", "192.168.0.2"),
        ("100.64.0.1, fd00::1, 2001:db8::7", "2001:db8::7"),
        ('"[2001:db8::7]:443", -', "2001:db8::7"),
        ("unknown", None),
        ("203.0.113.7, shop.example", None),
    ],
)
def test_of_a_forwarded_list_the_first_public_address_is_the_client(listed: str, client: str | None) -> None:
    assert first_of(listed) == client


def test_the_agent_and_the_client_make_the_visitor_not_the_prefix(tmp_path: Path) -> None:
    first, second = f"web-1 | {PLAIN}", f"web-2 | {PLAIN}"
    replayed = replay_lines(tmp_path, first, second)
    assert len({event.visitor_id for event in replayed.events}) == 1
    assert len({event.event_id for event in replayed.events}) == 2, "two servers' lines are two events"
    assert FIREFOX in PLAIN


def test_a_log_of_private_addresses_says_that_they_may_be_a_proxys(tmp_path: Path) -> None:
    public, private = PLAIN, log_line(address="10.0.0.1")
    assert replay_lines(tmp_path, public, private).report.advice(1431857103000) == []
    (advice,) = replay_lines(tmp_path, public, private, private).report.advice(1431857103000)
    assert "X-Forwarded-For" in advice
