"""Replay: one page has one path, however its address is written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.producer.replay.paths import one_spelling
from tests.unit.producer.replaying import log_line, replay_lines


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/caf%C3%A9", "/café"),
        ("/caf%c3%a9", "/café"),
        ("/caf%C3%a9%20bar", "/café%20bar"),
        ("/%7Euser/%61", "/~user/a"),
        ("/a%2fb", "/a%2Fb"),
        ("/a b", "/a%20b"),
        ('/say"hi"', "/say%22hi%22"),
        ("/caf%e9", "/caf%E9"),
        ("/100%", "/100%"),
        ("/%zz%2", "/%zz%2"),
        ("/%E2%80%AEgnp", "/%E2%80%AEgnp"),
        ("/%00%0a", "/%00%0A"),
        ("/%D0%BF%D1%83%D1%82%D1%8C", "/путь"),
        ("/%F0%9F%98%80", "/😀"),
        ("/%ED%A0%80", "/%ED%A0%80"),
        ("/a;b=c,d", "/a;b=c,d"),
    ],
)
def test_a_path_has_one_spelling(written: str, path: str) -> None:
    assert one_spelling(written) == path


@given(st.text(alphabet=st.sampled_from("a%é/~2fFcC39 \0\udce9\"'"), max_size=30))
def test_what_has_its_one_spelling_keeps_it(text: str) -> None:
    assert one_spelling(one_spelling(text)) == one_spelling(text)


SPELLINGS = ("/caf%C3%A9", "/caf%c3%a9", "/café", r"/caf\xc3\xa9")


def test_every_reader_makes_one_page_of_all_spellings(tmp_path: Path) -> None:
    logged = replay_lines(tmp_path, *(log_line(request=f"GET {path} HTTP/1.1") for path in SPELLINGS))
    rows = [f"1431857103,u1,{path}" for path in SPELLINGS[:3]]
    header = "event_time,visitor_id,page_path"
    tabled = replay_lines(tmp_path, header, *rows, f"1431857103,u1,https://shop.example{SPELLINGS[0]}", name="a.csv")
    event = '{"event_time":1431857103,"event_type":"click","visitor_id":"v","device_type":"other","page_path":"%s"}'
    own = replay_lines(tmp_path, *(event % path for path in SPELLINGS[:3]), name="a.ndjson")
    assert {*logged.paths, *tabled.paths, *own.paths} == {"/café"}
    assert len(logged.paths) + len(tabled.paths) + len(own.paths) == 11


def test_a_path_in_a_table_has_neither_query_nor_fragment(tmp_path: Path) -> None:
    rows = ("1431857103,u1,/a?b#c", "1431857103,u1,/a#c?d", "1431857103,u1,https://shop.example/a?b#c")
    assert set(replay_lines(tmp_path, "event_time,visitor_id,page_path", *rows, name="a.csv").paths) == {"/a"}


def test_names_of_campaign_parameters_may_be_in_capitals(tmp_path: Path) -> None:
    event = replay_lines(tmp_path, log_line(request="GET /a?UTM_SOURCE=News&Utm_Medium=mail HTTP/1.1")).event
    assert (event.utm_source, event.utm_medium) == ("News", "mail")
