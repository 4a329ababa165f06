"""Replay of CSV: columns become fields as the mapping says."""

from pathlib import Path

import pytest
from msgspec.json import decode

from services.common import uuid7
from services.common.errors import UserError
from tests.unit.producer.replaying import FIREFOX, GOOGLEBOT, Replayed, replay_files, replay_lines

MAPS = ["event_time=ts,visitor_id=user,event_type=action", "page_path=page"]


def replay_rows(folder: Path, *rows: str, header: str = "ts,user,action,page", **options: object) -> Replayed:
    return replay_lines(folder, header, *rows, name="data.csv", **{"maps": MAPS} | options)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("1431857103", "2015-05-17T10:05:03.000Z"),
        ("1431857103.25", "2015-05-17T10:05:03.250Z"),
        ("1431857103250", "2015-05-17T10:05:03.250Z"),
        ("1431857103250999", "2015-05-17T10:05:03.251Z"),
        ("2015-05-17T10:05:03Z", "2015-05-17T10:05:03.000Z"),
        ("2015-05-17 10:05:03.25", "2015-05-17T10:05:03.250Z"),
        ("2015-05-17T12:05:03+02:00", "2015-05-17T10:05:03.000Z"),
        ("2015-05-17", "2015-05-17T00:00:00.000Z"),
    ],
)
def test_times_are_epoch_numbers_or_iso_and_utc_without_a_zone(tmp_path: Path, time: str, expected: str) -> None:
    event = replay_rows(tmp_path, f"{time},u1,page_view,/a").event
    assert event.event_time == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("yesterday,u1,page_view,/a", "event_time is neither an epoch number nor an ISO 8601 time"),
        ("99999999999999999999999,u1,page_view,/a", "event_time is neither an epoch number nor an ISO 8601 time"),
        ("0,u1,page_view,/a", "event_time before the year 2000"),
        ("32503680000,u1,page_view,/a", "event_time in the future"),
        (",u1,page_view,/a", "event_time is missing"),
        ("1431857103,,page_view,/a", "visitor_id is missing"),
        ("1431857103,u1,teleport,/a", "unknown event_type: --map-event THEIRS=OURS translates it"),
        ("1431857103,u1,page_view", "not as many fields as the header has"),
        ("1431857103,u1,page_view,/a,more", "not as many fields as the header has"),
        ("1431857103,u1,page_view,", "Object missing required field page_path"),
        ("1431857103,u1,page_view,/\udcff", "not UTF-8"),
        ("1431857103,u1,page_view,/\0", "a NUL character"),
        ('1431857103,u1,page_view,"/a"b', "a quote that is not closed, or not doubled within quotes"),
        (f"1431857103,u1,page_view,/{'é' * 256}", "page_path longer than 512 bytes"),
    ],
)
def test_a_bad_row_is_counted_with_its_reason_and_the_next_row_is_read(tmp_path: Path, row: str, reason: str) -> None:
    header = b"ts,user,action,page"
    replayed = replay_lines(
        tmp_path,
        header,
        row.encode("utf-8", "surrogateescape"),
        "1431857103,u1,page_view,/next",
        name="data.csv",
        maps=MAPS,
    )
    assert dict(replayed.report.bad) == {reason: 1}
    assert replayed.paths == ["/next"]
    assert replayed.report.lines == 3


def test_names_of_event_types_are_translated(tmp_path: Path) -> None:
    replayed = replay_rows(
        tmp_path,
        "1431857103,u1,view,/a",
        "1431857104,u1,transaction,/a",
        "1431857105,u1,click,/a",
        events=["view=product_view,transaction=purchase"],
    )
    assert [event.event_type for event in replayed.events] == ["product_view", "purchase", "click"]


def test_a_type_translated_to_custom_keeps_its_name_and_so_does_one_with_a_column_for_it(tmp_path: Path) -> None:
    translated = replay_rows(tmp_path, "1431857103,u1,signup,/a", events=["signup=custom"]).event
    assert (translated.event_type, translated.event_name) == ("custom", "signup")
    maps = [*MAPS, "event_name=page"]
    named = replay_rows(tmp_path, "1431857103,u1,signup,/a", maps=maps, events=["signup=custom"]).event
    assert named.event_name == "/a"
    assert dict(replay_rows(tmp_path, "1431857103,u1,custom,/a").report.bad) == {
        "event_name is missing: a custom event needs one": 1
    }


def test_columns_that_are_not_mapped_go_nowhere(tmp_path: Path) -> None:
    replayed = replay_rows(
        tmp_path,
        "1431857103,u1,page_view,/a,Jane,red",
        header="ts,user,action,page,name,colour",
        maps=[*MAPS, "properties.colour=colour"],
    )
    assert "Jane" not in replayed.messages[0].value.decode()
    assert decode(bytes(replayed.event.properties)) == {"colour": "red"}  # type: ignore[arg-type]


def test_without_a_mapping_columns_named_like_fields_are_used(tmp_path: Path) -> None:
    header = "event_time,visitor_id,page_path,country,unknown"
    event = replay_rows(tmp_path, "1431857103,u1,/a,de,x", header=header, maps=None).event
    assert (event.event_type, event.visitor_id, event.page_path, event.country) == ("page_view", "u1", "/a", "DE")


@pytest.mark.parametrize(
    ("quantity", "price", "total", "expected"),
    [
        ("2", "9.95", "", "19.90"),
        ("2.0", "9.95", "30", "30"),
        ("", "19.990000000000002", "", "19.9900"),
        ("3", "1e2", "", "300"),
        ("1", "0", "", "0"),
    ],
)
def test_the_value_is_the_total_of_the_event(
    tmp_path: Path, quantity: str, price: str, total: str, expected: str
) -> None:
    event = replay_rows(
        tmp_path,
        f"1431857103,u1,purchase,/a,{quantity},{price},{total},eur",
        header="ts,user,action,page,qty,price,total,money",
        maps=[*MAPS, "quantity=qty,price=price,value=total,currency=money"],
    ).event
    assert (event.value, event.currency) == (expected, "EUR")


@pytest.mark.parametrize("number", ["-1", "sNaN", "Infinity", "1,5", "much", "1e12", "1e999999"])
def test_a_number_that_is_none_makes_a_bad_row(tmp_path: Path, number: str) -> None:
    for field in ("quantity", "value", "price"):
        replayed = replay_rows(
            tmp_path,
            f"1431857103;u1;purchase;/a;{number}",
            header="ts;user;action;page;n",
            maps=[*MAPS, f"{field}=n"],
        )
        assert replayed.report.bad.total() == 1
        assert not replayed.messages


def test_a_path_may_be_made_of_columns_or_come_out_of_a_url(tmp_path: Path) -> None:
    def path(text: str, row: str) -> str:
        maps = ["event_time=ts,visitor_id=user", f"page_path={text}"]
        return replay_rows(tmp_path, row, header="ts,user,shop,item", maps=maps).event.page_path

    assert path("/{shop}/item/{item}", "1431857103,u1,de,42") == "/de/item/42"
    assert path("/shop", "1431857103,u1,de,42") == "/shop"
    assert path("item", "1431857103,u1,de,https://example.org/a/b?c=d") == "/a/b"
    assert path("item", "1431857103,u1,de,/a/b?c=d") == "/a/b"


ADDRESSES = ("jane@example.org", "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:443", "fe80::1%eth0", "x" * 65)


def test_e_mail_and_ip_addresses_become_pseudonyms(tmp_path: Path) -> None:
    rows = [f"1431857103,{user},page_view,/a" for user in ADDRESSES]
    replayed = replay_rows(tmp_path, *rows, "1431857103,u-1.2,page_view,/a")
    assert replayed.report.bad.total() == 0
    visitors = [event.visitor_id for event in replayed.events]
    assert [len(visitor) for visitor in visitors] == [32] * len(ADDRESSES) + [5]
    assert visitors[1] == visitors[2], "one address in two spellings is one visitor"


def test_a_user_agent_column_tells_browser_device_and_crawlers(tmp_path: Path) -> None:
    replayed = replay_rows(
        tmp_path,
        f"1431857103,u1,page_view,/a,{FIREFOX}",
        f"1431857103,u2,page_view,/a,{GOOGLEBOT}",
        header="ts,user,action,page,agent",
        maps=[*MAPS, "user_agent=agent"],
    )
    assert (replayed.event.browser, replayed.event.device_type) == ("Firefox", "desktop")
    assert replayed.report.skipped["bot"] == 1


def test_foreign_ids_become_uuid7_and_ours_are_kept(tmp_path: Path) -> None:
    ours = uuid7.compose(1431857103000, 7)
    rows = f"1431857103,u1,/a,42,s1\n1431857105,u1,/a,43,s1\n1431857105,u1,/a,43,s2\n1431857103,u1,/a,{ours},{ours}"
    header = "event_time,visitor_id,page_path,event_id,session_id"
    replayed = replay_rows(tmp_path, *rows.split("\n"), header=header, maps=None)
    by_id = {event.event_id: event for event in replayed.events}
    assert len(by_id) == 3, "the same foreign id at the same time is the same event"
    assert by_id[ours].session_id == ours
    assert len({event.session_id for event in replayed.events}) == 3


@pytest.mark.parametrize(
    "word", ["NULL", "null", "None", "nan", "NaN", "NA", r"\N", "-", "undefined", "(null)", "", " "]
)
def test_a_word_for_nothing_is_no_visitor_and_no_page_and_no_text(tmp_path: Path, word: str) -> None:
    header = "event_time,visitor_id,page_path,user_id,page_title,event_id,session_id,value,country"
    row = "1431857103,{},{},{nothing},{nothing},{nothing},{nothing},{nothing},DE"
    whole = row.format("u1", "/a", nothing=word)
    no_visitor, no_page = row.format(word, "/a", nothing="1"), row.format("u1", word, nothing="1")
    replayed = replay_rows(tmp_path, whole, whole, no_visitor, no_page, header=header, maps=None)
    first, second = replayed.events
    assert (first.user_id, first.page_title, first.value) == (None, None, None)
    assert first.event_id != second.event_id, "two rows without an id are two events"
    assert len({event.session_id for event in replayed.events}) == 1, "sessions are cut where none is named"
    assert replayed.report.bad.total() == 2


def test_a_path_template_with_nothing_in_it_is_no_page(tmp_path: Path) -> None:
    maps = ["event_time=ts,visitor_id=user", "page_path=/item/{item}"]
    replayed = replay_rows(tmp_path, "1431857103,u1,NULL", "1431857103,u1,7", header="ts,user,item", maps=maps)
    assert replayed.paths == ["/item/7"]


def test_namibia_is_a_country(tmp_path: Path) -> None:
    header = "event_time,visitor_id,page_path,country,city"
    event = replay_rows(tmp_path, "1431857103,u1,/a,NA,NA", header=header, maps=None).event
    assert (event.country, event.city) == ("NA", None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter_and_quotes_hold_anything(tmp_path: Path, delimiter: str) -> None:
    header = "\ufeff" + delimiter.join(("event_time", "visitor_id", "page_path", "page_title"))
    row = delimiter.join(("1431857103", "u1", "/a", '"a ""b"", c; d'))
    event = replay_rows(tmp_path, row, 'e"', header=header, maps=None).event
    assert event.page_title == 'a "b", c; d\ne'


def test_the_line_of_a_bad_row_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = [*MAPS, "page_title=title"]
    rows = "1431857103,u1,page_view,/a,A", '1431857103,u1,page_view,/a,"A', 'b"', "bad,u1,page_view,/a,A"
    replay_rows(tmp_path, *rows, header="ts,user,action,page,title", maps=maps)
    assert "line=5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("maps", "events", "told"),
    [
        (["when=ts"], [], "--map when=…: no such field"),
        (["event_time"], [], "must be NAME=VALUE"),
        (["event_time=time"], [], "has no such column, but ts, user"),
        (["visitor_id=user,page_path=page"], [], "no column is event_time: add --map event_time=COLUMN"),
        (["event_time=ts,page_path=page"], [], "no column is visitor_id"),
        (["event_time=ts,visitor_id=user"], [], "no column is page_path or page_url"),
        (MAPS, ["view=look"], "--map-event view=look: no such event type"),
    ],
)
def test_a_wrong_mapping_is_told_before_anything_is_sent(
    tmp_path: Path, maps: list[str], events: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told.replace("(", r"\(")):
        replay_rows(tmp_path, "1431857103,u1,view,/a", maps=maps, events=events)


def test_a_file_without_a_header_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be a header"):
        replay_rows(tmp_path, header="", maps=None)


def row(number: int, page: str) -> str:
    return f"143185710{number},u{number},page_view,{page}"


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ('"/a', '/e"'),
        ('"/a', '"/e'),
        ('"/a', "/e"),
        ("/a", '"/e'),
        ('"/a""', '""/e"'),
    ],
)
def test_a_stray_quote_costs_the_rows_that_hold_one_and_no_other(tmp_path: Path, first: str, last: str) -> None:
    rows = [row(1, first), row(2, "/b"), row(3, "/c"), row(4, last), row(5, "/f")]
    replayed = replay_rows(tmp_path, *rows)
    strays = sum('"' in text for text in (first, last))
    whole = {"/b", "/c", "/f", *(text for text in (first, last) if '"' not in text)}
    assert whole <= set(replayed.paths)
    assert replayed.report.lines == 6
    assert replayed.report.found + replayed.report.bad.total() == 5
    assert 1 <= replayed.report.bad.total() <= strays


def test_a_stray_quote_in_a_text_that_may_have_lines_swallows_no_row_with_quotes_of_its_own(tmp_path: Path) -> None:
    maps = [*MAPS, "page_title=title"]
    titles = '"Say "hi"', '"Lots, and more"', "C", '"D'
    rows = [f"{row(number, '/a')},{title}" for number, title in enumerate(('"A', *titles))]
    replayed = replay_rows(tmp_path, *rows, header="ts,user,action,page,title", maps=maps)
    assert [event.page_title for event in replayed.events] == ["Lots, and more", "C"]
    assert replayed.report.bad.total() == 3


def test_a_text_over_several_lines_is_one_row(tmp_path: Path) -> None:
    maps = [*MAPS, "page_title=title"]
    rows = '1431857103,u1,page_view,/a,"one, two', "", 'a ""three""', '4"', "1431857104,u1,page_view,/b,B"
    replayed = replay_rows(tmp_path, *rows, header="ts,user,action,page,title", maps=maps)
    assert [event.page_title for event in replayed.events] == ['one, two\n\na "three"\n4', "B"]
    assert dict(replayed.report.passed_over) == {"header": 1, "continued": 3}


def test_a_row_over_lines_beyond_reason_gives_them_back(tmp_path: Path) -> None:
    stray, other = '1431857103,u1,page_view,"/a', "some other words"
    replayed = replay_rows(tmp_path, stray, *[other] * 300, "1431857104,u1,page_view,/b")
    assert replayed.paths == ["/b"]
    assert replayed.report.bad.total() == 301


def test_a_line_break_in_what_can_hold_none_is_a_bad_row(tmp_path: Path) -> None:
    replayed = replay_rows(tmp_path, '1431857103,u1,page_view,"/a', 'b"', "1431857104,u1,page_view,/b")
    assert replayed.paths == ["/b"]
    assert replayed.report.bad.total() == 2


def test_columns_name_those_of_a_file_without_a_header(tmp_path: Path) -> None:
    first, second = row(1, "/a"), row(2, "/b")
    bare = replay_lines(tmp_path, first, second, name="bare.csv", maps=MAPS, columns="ts,user,action,page")
    named = replay_rows(tmp_path, first, second, columns="ts,user,action,page")
    assert bare.ids == named.ids
    assert bare.paths == ["/a", "/b"]
    assert dict(named.report.passed_over) == {"header": 1}


def test_a_missing_header_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--columns") as told:
        replay_lines(tmp_path, row(1, "/a"), name="bare.csv", maps=MAPS)
    assert "u1" not in str(told.value), "the first line may be somebody's data"


def test_a_column_that_is_there_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two columns are called page"):
        replay_rows(tmp_path, "1431857103,u1,page_view,/a,/b", header="ts,user,action,page,page")


@pytest.mark.parametrize("delimiter", [":", "^", "\x01", "~"])
def test_any_delimiter_can_be_named(tmp_path: Path, delimiter: str) -> None:
    rows = (line.replace(",", delimiter) for line in ("ts,user,action,page", row(1, "/a,b"[:2])))
    assert replay_lines(tmp_path, *rows, name="a.csv", maps=MAPS, delimiter=delimiter).paths == ["/a"]


def test_a_csv_file_may_end_its_lines_as_it_likes(tmp_path: Path) -> None:
    lines = "ts,user,action,page", row(1, "/a"), row(2, "/b")
    for number, end in enumerate(("\n", "\r\n", "\r")):
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
            file = tmp_path / f"{number}{encoding}.csv"
            file.write_text(end.join(lines), encoding=encoding, newline="")
            assert replay_files(file, maps=MAPS).paths == ["/a", "/b"], (end, encoding)
