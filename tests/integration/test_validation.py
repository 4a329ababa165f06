"""Whatever the validator accepts, PostgreSQL takes, and gives back what was sent; and what it refuses all the same
becomes a dead letter that holds nobody up.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.event import COLUMNS
from services.common.postgres import Connection, connect
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose, unix_ms
from services.consumer import ledger, ways
from services.consumer.batch import Batch, DeadLetter
from services.consumer.faults import Invalid
from services.consumer.ledger import REPLAY_HEADER, Outcome, _dead_letter_fields
from services.consumer.limits import Limits
from services.consumer.store import CLEAN_BATCHES, Store
from services.consumer.validation import Validator
from tests import oracle
from tests.conftest import Database
from tests.integration import raw
from tests.integration.pipeline import settings_of

_NOW = datetime.now(UTC)
_TODAY_MS = to_unix_ms(_NOW.replace(hour=0, minute=0, second=0, microsecond=0))
_RETENTION_DAYS = 2
_MAX_BYTES = 1024 * 1024
_LIMITS = Limits.at(_NOW, _RETENTION_DAYS, _MAX_BYTES)
_FIRST_MS = _TODAY_MS - _RETENTION_DAYS * 86_400_000
_LAST_MS = to_unix_ms(_NOW + timedelta(days=1)) - 1


def _raw_object(items: Sequence[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"


_nasty = [
    "\0",
    "\\N",
    "\\.",
    "\\",
    "\t",
    "\n",
    "\r",
    "\b\f\v",
    '"',
    "'",
    "\u202eabc",
    "\ufeff",
    "\u2028",
    "\x7f",
    "$1",
    "{}",
]
_texts = st.text(max_size=12) | st.lists(st.sampled_from(_nasty) | st.text(max_size=3), max_size=4).map("".join)
_times_ms = st.integers(_FIRST_MS, _LAST_MS) | st.sampled_from([_FIRST_MS, _LAST_MS, _TODAY_MS - 1, _TODAY_MS])
_ids = st.builds(compose, _times_ms, st.integers(0, (1 << 74) - 1))
_apart_ms = st.sampled_from([0, 0, 1, -86_400_000, 86_400_000, -86_400_001, 86_400_001])
_numbers = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "0e0", "1e999", "1e-999", "9" * 4000, "0." + "1" * 4000, "1e1000", "1E-9999"]),
)
_strings = _texts.map(json.dumps) | st.from_regex(
    r'"(\\u[0-9a-fA-F]{4}|\\[bfnrt"\\/]|[ -!#-\[\]-~]){0,6}"', fullmatch=True
)
_raw_json = st.recursive(
    _numbers | _strings | st.sampled_from(["true", "false", "null", "[]", "{}", " [ ] "]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(_strings, inner), max_size=3).map(_raw_object),
    ),
    max_leaves=6,
)
_urls = st.sampled_from(["https://www.shop.example/a", "https://[::1]/", "http://jane@Shop.example:80", "https:///"])
_optional = {
    **dict.fromkeys(
        ["user_id", "page_title", "referrer", "utm_source", "utm_medium", "utm_campaign", "os", "browser"],
        _texts,
    ),
    "page_url": _texts | _urls,
    "site": st.sampled_from(["shop.example", "Blog.Example", "a" * 63, "-"]),
    "event_name": _texts.filter(bool),
    **dict.fromkeys(["city", "element", "product_id"], _texts),
    "country": st.sampled_from(["DE", "ZZ", "d\n"]),
    "currency": st.sampled_from(["EUR", "XXX"]),
    "quantity": st.integers(-1, 1_000_001),
    "value": st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,4})?", fullmatch=True),
}


_raw_properties = st.lists(st.tuples(_strings, _raw_json), max_size=3).map(_raw_object)


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    """An event in adversarial but mostly allowed values; its JSON may escape what it likes."""
    at_ms = draw(_times_ms)
    made_ms = min(max(at_ms + draw(_apart_ms), _FIRST_MS), _LAST_MS)
    fields: dict[str, Any] = {
        "event_id": compose(made_ms, draw(st.integers(0, (1 << 74) - 1))),
        "event_time": rfc3339_ms(at_ms),
        "event_type": draw(st.sampled_from(["click", "click", "click", "custom"])),
        "session_id": draw(_ids),
        "visitor_id": draw(_texts.filter(bool)),
        "page_path": draw(_texts.filter(bool)),
        "device_type": "other",
    } | draw(st.fixed_dictionaries({}, optional=_optional))
    text = json.dumps(fields, ensure_ascii=draw(st.booleans()))
    return f'{text[:-1]}, "properties": {draw(_raw_properties)}}}'.encode("utf-8", "surrogatepass")


@pytest.fixture
def session(migrated: Database) -> Iterator[Connection]:
    """The consumer's own session."""
    with connect(settings_of(migrated, "clickstream_ingest"), "tests", autocommit=True) as connection:
        yield connection


def _batch(values: Sequence[bytes | None], first_offset: int = 0, headers: Any = None, ms: int = 1) -> Batch:
    messages = [
        Message(topic="t", partition=0, offset=n, key=b"k", value=value, headers=headers, timestamp=(1, ms))
        for n, value in enumerate(values, first_offset)
    ]
    end = first_offset + len(values)
    return Batch("t", messages, {0: first_offset}, {0: end}, {0: end})


def _as_sent(value: bytes) -> dict[str, Any]:
    """The event as Python's own decoder reads it, of the site that it must be of; -0 is 0 to PostgreSQL."""
    fields: dict[str, Any] = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    fields["site"] = oracle.site(fields)
    if fields.get("value") is not None:
        fields["value"] = Decimal(fields["value"])
    return dict.fromkeys(COLUMNS) | fields


def _as_stored(connection: Connection) -> list[dict[str, Any]]:
    columns = [f"{name}::text" if name in ("event_id", "session_id", "properties") else name for name in COLUMNS]
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM event ORDER BY event_id".encode()).fetchall()
    events = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    for event in events:
        event["event_time"] = rfc3339_ms(to_unix_ms(event["event_time"]))
        event["properties"] = json.loads(event["properties"], parse_float=Decimal, parse_int=Decimal)
    return events


@pytest.mark.timeout(600)  # a thousand messages are thought out: minutes, on a busy machine
def test_whatever_the_validator_accepts_postgresql_takes_and_gives_back(session: Connection) -> None:
    for day in range(-_RETENTION_DAYS - 1, 3):
        session.execute("SELECT create_event_partition(%s)", [(_NOW + timedelta(days=day)).date()])
    accepted = refused = 0

    @settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_messages(), min_size=1, max_size=8, unique_by=lambda value: value[14:50]))
    def check(values: list[bytes]) -> None:
        nonlocal accepted, refused
        results = Validator().check(values, _LIMITS, 1)
        sent = [value for value, result in zip(values, results, strict=True) if not isinstance(result, Invalid)]
        batch = _batch(sent)
        batch.batch_id = 1
        with session.transaction(force_rollback=True), session.cursor() as cursor:
            ways.direct(cursor, batch, batch.validate(Validator(), _LIMITS))
            stored = _as_stored(session)
        assert stored == sorted(map(_as_sent, sent), key=lambda event: str(event["event_id"]))
        accepted, refused = accepted + len(sent), refused + len(values) - len(sent)

    check()
    assert accepted > 200
    assert refused > 50


def _plain(number: int, **changes: Any) -> bytes:
    at_ms = _TODAY_MS + number
    fields = {
        "event_id": compose(at_ms, number),
        "event_time": rfc3339_ms(at_ms),
        "event_type": "click",
        "session_id": compose(at_ms, 0),
        "visitor_id": "v",
        "page_path": "/",
        "device_type": "other",
    }
    return json.dumps(fields | changes).encode()


@pytest.fixture
def store(session: Connection) -> Store:
    """Of a partition that stands at its beginning."""
    session.execute(
        "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES ('t', 0, 0, 0)"
    )
    return Store(session, "tests", _RETENTION_DAYS, _MAX_BYTES)


def _narrow(database: Database, column: str = "quantity", to: str = "smallint") -> None:
    with database.connect() as owner:
        owner.execute("DROP VIEW IF EXISTS clickstream.pending_event CASCADE")
        owner.execute(f"ALTER TABLE clickstream.event ALTER COLUMN {column} TYPE {to}".encode())


def _counts(outcome: Outcome) -> tuple[int, int, int, int]:
    return outcome.received, outcome.stored, outcome.duplicate, outcome.dead


def _letters(session: Connection) -> list[tuple[Any, ...]]:
    return session.execute("SELECT message_offset, reason, value FROM dead_letter ORDER BY 1").fetchall()


def test_a_row_that_only_postgresql_refuses_becomes_a_dead_letter_and_the_rest_is_stored(
    migrated: Database, session: Connection, store: Store
) -> None:
    _narrow(migrated)
    values = [_plain(n, quantity=40_000 if n in (3, 700) else n) for n in range(1000)]
    assert _counts(store.commit(_batch(values))) == (1000, 998, 0, 2)
    assert _letters(session) == [(n, "rejected_by_postgres", values[n]) for n in (3, 700)]
    assert session.execute("SELECT count(*), sum(quantity) FROM event").fetchone() == (998, 999 * 500 - 703)


@pytest.mark.parametrize("clean_batches", [0, CLEAN_BATCHES])
@pytest.mark.parametrize("order", ["duplicate first", "refused first"])
def test_a_duplicate_beside_a_refused_row_holds_nothing_up(
    migrated: Database, session: Connection, store: Store, clean_batches: int, order: str
) -> None:
    store.commit(_batch([_plain(1)]))
    _narrow(migrated)
    store._clean_batches = clean_batches
    odd = [_plain(1), _plain(2, quantity=40_000)]
    first, last = odd if order == "duplicate first" else reversed(odd)
    plain = [_plain(n) for n in range(3, 2003)]  # more than COPY gathers before it looks for duplicates
    assert _counts(store.commit(_batch([first, *plain, last, b"{"], 1))) == (2003, 2000, 1, 2)
    assert {reason for _, reason, _ in _letters(session)} == {"rejected_by_postgres", "invalid_json"}


def test_a_column_altered_while_a_consumer_runs_is_noticed(migrated: Database, store: Store) -> None:
    store.commit(_batch([_plain(0)]))
    _narrow(migrated, "city", "varchar(3)")
    assert _counts(store.commit(_batch([_plain(1, city="Berlin"), _plain(2)], 1))) == (2, 1, 0, 1)
    _narrow(migrated)
    assert _counts(store.commit(_batch([_plain(3, quantity=40_000), _plain(4)], 3))) == (2, 1, 0, 1)


@pytest.mark.parametrize("ms", [-1, 0, 253_402_300_800_000, 2**62])
@pytest.mark.parametrize("header", [b"9" * 19, b"0", "٣".encode(), None])
def test_a_bad_message_with_odd_timestamp_and_headers_is_a_dead_letter_all_the_same(
    session: Connection, store: Store, ms: int, header: bytes | None
) -> None:
    outcome = store.commit(_batch([b"{", _plain(1)], headers=[(REPLAY_HEADER, header), ("", b"\0")], ms=ms))
    assert _counts(outcome) == (2, 1, 0, 1)
    assert session.execute("SELECT produced_at FROM dead_letter").fetchone() == (None,)


def test_a_header_name_that_postgresql_cannot_keep_is_left_out_with_a_note(session: Connection, store: Store) -> None:
    assert _counts(store.commit(_batch([b"{"], headers=[("a\0b", b"1"), ("\ud800", b"2"), ("größe", None)]))) == (
        1,
        0,
        0,
        1,
    )
    ((headers, message),) = session.execute("SELECT headers, message FROM dead_letter")
    assert headers == [["größe", None]]
    assert message.endswith("(headers whose names are not text are left out)")


def test_what_is_too_large_to_be_kept_is_cut_with_a_note(
    session: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_KEPT_BYTES", 10)
    store.commit(_batch([b"0123456789", b"0123456789,"], headers=[("a", b"b")]))
    store.commit(_batch([b"{"], 2, headers=[("a", b"0123456789")]))
    rows = session.execute("SELECT value, headers, message FROM dead_letter ORDER BY message_offset").fetchall()
    assert [value for value, _, _ in rows] == [b"0123456789", b"0123456789", b"{"]
    assert [headers for _, headers, _ in rows] == [[["a", "Yg=="]], [["a", "Yg=="]], None]
    notes = ["", "(key and value are cut: too large)", "(headers are left out: too large)"]
    assert all(message.endswith(note) for (_, _, message), note in zip(rows, notes, strict=True))
    assert "too large" not in rows[0][2]


def test_unreadable_headers_are_noted_each_time_also_once_python_has_optimised_the_call(
    broker: str, topic: str
) -> None:
    raw.produce(broker, topic, b"{", [(b"\xff", b"1")])
    client = Consumer({"bootstrap.servers": broker, "group.id": "tests"})
    client.assign([TopicPartition(topic, 0, 0)])
    unreadable = client.consume(1, 30)
    client.close()
    plain = [Message(topic=topic, partition=0, offset=n, value=b"{", headers=[("a", b"1")]) for n in range(100)]
    letters = [DeadLetter(message, Invalid("invalid_json", "odd")) for message in [*plain, *unreadable, *unreadable]]
    messages = [_dead_letter_fields(letter)[4] for letter in letters]
    assert messages == ["odd"] * 100 + ["odd (headers whose names are not text are left out)"] * 2


def test_events_of_days_without_a_partition_make_it(session: Connection, store: Store) -> None:
    edges = [_FIRST_MS, _TODAY_MS - 1, _LAST_MS - 60_000]
    values = [_plain(n, event_id=compose(ms, n), event_time=rfc3339_ms(ms)) for n, ms in enumerate(edges)]
    assert _counts(store.commit(_batch(values))) == (3, 3, 0, 0)
    days = {row[0] for row in session.execute("SELECT tableoid::regclass::text FROM event")}
    assert days == {f"event_{datetime.fromtimestamp(ms / 1000, UTC):%Y%m%d}" for ms in edges}
    assert [unix_ms(str(i)) for (i,) in session.execute("SELECT event_id FROM event ORDER BY 1")] == edges


def test_each_event_is_stored_under_its_site_and_custom_events_with_their_name(session: Connection) -> None:
    session.execute(
        "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES ('t', 0, 0, 0)"
    )
    store = Store(session, "tests", _RETENTION_DAYS, _MAX_BYTES, default_site="app")
    sent: list[dict[str, Any]] = [
        {"site": "Shop.Example", "page_url": "https://elsewhere.example/"},
        {"page_url": "https://www.shop.example:8443/p"},
        {"page_url": "https://[::1]/p"},
        {},
        {"event_type": "custom", "event_name": "video_play", "site": "blog"},
    ]
    assert _counts(store.commit(_batch([_plain(n, **fields) for n, fields in enumerate(sent)]))) == (5, 5, 0, 0)
    assert session.execute("SELECT site, event_type, event_name FROM event ORDER BY event_id").fetchall() == [
        ("shop.example", "click", None),
        ("shop.example", "click", None),
        ("app", "click", None),
        ("app", "click", None),
        ("blog", "custom", "video_play"),
    ]


@pytest.mark.parametrize("clean_batches", [0, CLEAN_BATCHES])
def test_an_event_sent_again_keeps_the_site_that_it_was_stored_under(
    session: Connection, store: Store, clean_batches: int
) -> None:
    store.commit(_batch([_plain(1)]))
    later = Store(session, "tests", _RETENTION_DAYS, _MAX_BYTES, default_site="app")
    later._clean_batches = clean_batches
    assert _counts(later.commit(_batch([_plain(1), _plain(2)], 1))) == (2, 1, 1, 0)
    assert session.execute("SELECT site FROM event ORDER BY event_id").fetchall() == [("default",), ("app",)]
