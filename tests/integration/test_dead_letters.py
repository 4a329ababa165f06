"""Bad input is kept as it came, with its reason, and can be replayed as often as one likes."""

import os
import time
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.common.errors import UserError
from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import compose
from services.consumer import dead_letters, replay
from services.consumer.ledger import REPLAY_HEADER
from services.consumer.replay import Replay
from tests.conftest import Database, create_topic
from tests.integration import raw
from tests.integration.pipeline import Pipeline, scalar, topic_ends, wait_until
from tests.integration.readings import read_topic
from tests.unit.consumer.samples import event, with_raw, without

_DAY_MS = 86_400_000
_NOW_MS = time.time_ns() // 1_000_000
_TEN_MB = b'"' + b"x" * 10_000_000 + b'"'
_HEADERS: list[tuple[str, bytes | None]] = [("trace", b"\x00\xff"), ("trace", b"again"), ("größe", None)]


def _fresh(number: int = 0, days_ago: int = 0, **changes: Any) -> bytes:
    at_ms = _NOW_MS - days_ago * _DAY_MS
    return event(**{"event_id": compose(at_ms, number), "event_time": rfc3339_ms(at_ms)} | changes)


_BAD: list[tuple[str, bytes | None]] = [
    ("tombstone", None),
    ("too_large", _TEN_MB),
    ("invalid_json", b"not JSON"),
    ("invalid_json", b""),
    ("invalid_json", with_raw("properties", "[" * 100_000)),
    ("invalid_utf8", b"\xff\xfe"),
    ("invalid_utf8", with_raw("properties", b'{"a":"\xc3"}')),
    ("unknown_event_type", _fresh(event_type="refund")),
    ("missing_field", without("visitor_id")),
    ("missing_field", _fresh(event_type="custom", event_name=None)),
    ("invalid_field", _fresh(site="https://shop.example/")),
    ("invalid_field", _fresh(colour="red")),
    ("invalid_field", _fresh(**{"[/red]\x1b[31m:smile:\0": 1})),
    ("invalid_field", _fresh(quantity="2")),
    ("invalid_id", _fresh(event_id="0191ab26-5f00-4cc3-98c4-dc0c0c07398f")),
    ("invalid_time", _fresh(event_time="2026-02-30T00:00:00.000Z")),
    ("out_of_range", _fresh(event_time="1999-12-31T23:59:59.999Z")),
    ("out_of_range", _fresh(event_id=compose(_NOW_MS - 3 * _DAY_MS, 0))),
    ("nul_character", _fresh(page_title="a\0b")),
    ("invalid_properties", _fresh(properties={"a": 7}).replace(b"7}", b"1e9999}")),
    ("personal_data", _fresh(visitor_id="ann@example.com")),
]


@pytest.fixture
def wide(pipeline: Pipeline) -> Pipeline:
    """A pipeline on a topic that takes large messages, as `services.migrate` makes it."""
    pipeline.topic = f"{pipeline.topic}.wide"
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    new = NewTopic(pipeline.topic, 3, 1, config={"max.message.bytes": str(16 * 1024 * 1024)})
    admin.create_topics([new])[pipeline.topic].result(30)
    return pipeline


def _produce(pipeline: Pipeline, messages: Sequence[tuple[bytes | None, bytes | None]], headers: Any = None) -> None:
    producer = Producer({"bootstrap.servers": pipeline.bootstrap, "message.max.bytes": 20_000_000})
    for key, value in messages:
        producer.produce(pipeline.topic, key=key, value=value, headers=headers)
    assert producer.flush(30) == 0


def _letters(pipeline: Pipeline, *arguments: str) -> str:
    process = pipeline.start(
        f"letters-{len(pipeline.processes)}",
        "consumer",
        "dead-letters",
        *arguments,
        role="clickstream_ingest",
        COLUMNS="250",
    )
    return pipeline.succeed(process)


def _refused(pipeline: Pipeline, *arguments: str, **environment: str) -> str:
    process = pipeline.start(
        f"letters-{len(pipeline.processes)}",
        "consumer",
        "dead-letters",
        *arguments,
        role="clickstream_ingest",
        **environment,
    )
    line = pipeline.fail(process)
    assert process.log.read_text().strip() == line, "more than one line"
    return line


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as session:
        return session.execute(query.encode()).fetchall()


def _books(database: Database) -> dict[str, int]:
    names = ("received", "stored", "duplicate", "dead")
    (row,) = _rows(database, f"SELECT {', '.join(f'sum({n})::int' for n in names)} FROM clickstream.partition_offset")
    books = dict(zip(names, row, strict=True))
    assert books["received"] == books["stored"] + books["duplicate"] + books["dead"]
    with database.connect() as session:
        assert scalar(session, "SELECT count(*) FROM clickstream.event") == books["stored"]
        assert scalar(session, "SELECT count(*) FROM clickstream.dead_letter") == books["dead"]
    return books


def test_each_kind_of_bad_input_is_kept_as_it_came_and_the_rest_is_stored(wide: Pipeline) -> None:
    wide.consumer()
    bad = [(f"key-{n}".encode() if n % 2 else None, value) for n, (_, value) in enumerate(_BAD)]
    _produce(wide, [(b"good", _fresh(n + 1)) for n in range(200)])
    _produce(wide, bad, _HEADERS)
    _produce(wide, [(b"good", _fresh(n + 201)) for n in range(200)])
    wide.wait_until_stored()

    assert _books(wide.database) == {"received": 400 + len(_BAD), "stored": 400, "duplicate": 0, "dead": len(_BAD)}
    kept = _rows(wide.database, "SELECT reason, key, value FROM clickstream.dead_letter")
    expected = [(reason, key, value) for (reason, _), (key, value) in zip(_BAD, bad, strict=True)]
    assert sorted(kept, key=repr) == sorted(expected, key=repr)
    (headers,) = {str(row[0]) for row in _rows(wide.database, "SELECT headers FROM clickstream.dead_letter")}
    assert headers == "[['trace', 'AP8='], ['trace', 'YWdhaW4='], ['größe', None]]"

    listed = _letters(wide, "list")
    for reason, _ in _BAD:
        assert reason in listed
    assert "[/red]\\x1b[31m:smile:" in listed, "what others sent is neither markup nor a terminal's command"
    (titled,) = _rows(
        wide.database, "SELECT dead_letter_id FROM clickstream.dead_letter WHERE reason = 'nul_character'"
    )
    shown = _letters(wide, "show", str(titled[0]))
    assert r'"page_title":"a\u0000b"' in shown
    assert "U+0000" in shown

    assert f"{len(_BAD)} dead letters replayed" in _letters(wide, "replay")
    wide.wait_until_stored()
    assert _books(wide.database)["dead"] == 2 * len(_BAD)
    again = _rows(
        wide.database,
        "SELECT n.reason, n.key, n.value FROM clickstream.dead_letter AS n "
        "JOIN clickstream.dead_letter AS o ON o.dead_letter_id = n.replay_of AND o.replays = 1 "
        "AND (o.reason, o.key, o.value) IS NOT DISTINCT FROM (n.reason, n.key, n.value)",
    )
    assert sorted(again, key=repr) == sorted(expected, key=repr)


def test_what_is_valid_once_the_cause_is_mended_is_stored_by_its_replay_once(pipeline: Pipeline) -> None:
    strict = pipeline.consumer("strict", EVENT_RETENTION_DAYS="30")
    urls = ["https://www.shop.example/p", "https://blog.example/", None]
    old = [_fresh(n, days_ago=100, site=None, page_url=url) for n, url in enumerate(urls)]
    _produce(pipeline, [(b"v", value) for value in old] + [(b"v", b"{"), (b"v", _fresh(9))], _HEADERS)
    pipeline.wait_until_stored()
    assert _books(pipeline.database) == {"received": 5, "stored": 1, "duplicate": 0, "dead": 4}
    assert strict.stop()
    pipeline.consumer("patient", EVENT_RETENTION_DAYS="400")

    first = _rows(pipeline.database, "SELECT min(dead_letter_id) FROM clickstream.dead_letter")[0][0]
    assert "1 dead letters replayed" in _letters(pipeline, "replay", str(first))
    pipeline.wait_until_stored()
    assert _books(pipeline.database) == {"received": 6, "stored": 2, "duplicate": 0, "dead": 4}

    assert "2 dead letters replayed" in _letters(pipeline, "replay", "--reason", "out_of_range")
    pipeline.wait_until_stored()
    assert _books(pipeline.database) == {"received": 8, "stored": 4, "duplicate": 0, "dead": 4}
    stored = _rows(pipeline.database, "SELECT * FROM clickstream.event ORDER BY event_id")
    sites = _rows(pipeline.database, "SELECT site FROM clickstream.event ORDER BY event_id")
    assert sites == [("shop.example",), ("blog.example",), ("default",), ("shop.example",)]

    assert "3 dead letters replayed" in _letters(pipeline, "replay", "--reason", "out_of_range", "--all")
    assert "1 dead letters replayed" in _letters(pipeline, "replay", str(first))
    pipeline.wait_until_stored()
    assert _books(pipeline.database) == {"received": 12, "stored": 4, "duplicate": 4, "dead": 4}
    assert _rows(pipeline.database, "SELECT * FROM clickstream.event ORDER BY event_id") == stored

    for replays in (1, 2):
        assert "1 dead letters replayed" in _letters(pipeline, "replay")
        pipeline.wait_until_stored()
        chain = _rows(
            pipeline.database,
            "SELECT n.reason, n.dead_letter_id > o.dead_letter_id, jsonb_array_length(n.headers) "
            "FROM clickstream.dead_letter AS n JOIN clickstream.dead_letter AS o ON o.dead_letter_id = n.replay_of",
        )
        assert chain == [("invalid_json", True, len(_HEADERS) + 1)] * replays
    assert _books(pipeline.database) == {"received": 14, "stored": 4, "duplicate": 4, "dead": 6}
    assert "invalid_json: 3, out_of_range: 3" in _letters(pipeline, "list", "--limit", "1")


def test_a_header_name_that_is_not_utf8_becomes_a_dead_letter(pipeline: Pipeline) -> None:
    odd = [(b"trace", b"1"), (b"\xff\xfe", b"\x00"), (REPLAY_HEADER.encode(), b"7")]
    for value in (b"{", _fresh(1), b"["):
        raw.produce(pipeline.bootstrap, pipeline.topic, value, odd if value != b"[" else [(b"trace", b"1")])
    consumer = pipeline.consumer()
    pipeline.wait_until_stored(30)
    assert consumer.running
    assert _books(pipeline.database) == {"received": 3, "stored": 1, "duplicate": 0, "dead": 2}
    unreadable, plain = _rows(
        pipeline.database, "SELECT value, headers, replay_of, produced_at, message FROM clickstream.dead_letter"
    )
    assert unreadable[:4] == (b"{", None, None, None)
    assert unreadable[4].endswith(" (headers whose names are not text are left out)")
    assert plain[:2] == (b"[", [["trace", "MQ=="]])
    lag = "SELECT freshness_p95_seconds FROM clickstream.ingest_batch"
    assert _rows(pipeline.database, lag) == [(None,)], "no message says when it was produced"


@pytest.mark.parametrize("header", [b"9" * 30, b"-1", b"\xff", b"", None])
def test_a_forged_replay_header_keeps_nobody_from_going_on(pipeline: Pipeline, header: bytes | None) -> None:
    pipeline.consumer()
    _produce(pipeline, [(b"v", b"{")], [(REPLAY_HEADER, header)])
    pipeline.wait_until_stored(30)
    assert _rows(pipeline.database, "SELECT reason, replay_of FROM clickstream.dead_letter") == [("invalid_json", None)]


def test_what_cannot_be_shown_or_replayed_is_one_line(pipeline: Pipeline) -> None:
    assert "no dead letters" in _letters(pipeline, "list")
    assert "0 dead letters replayed" in _letters(pipeline, "replay")
    assert _refused(pipeline, "show", "7") == "error: there is no dead letter 7; see: dead-letters list --all"
    assert _refused(pipeline, "replay", "7") == "error: there is no dead letter 7; see: dead-letters list --all"
    assert _refused(pipeline, "replay", "--reason", "odd").startswith("error: --reason odd: must be one of tombstone, ")
    assert _refused(pipeline, "list", "--reason", "odd").startswith("error: --reason odd: must be one of tombstone, ")
    assert "check POSTGRES_USER and POSTGRES_PASSWORD" in _refused(pipeline, "list", POSTGRES_PASSWORD="wrong")
    away = _refused(pipeline, "list", POSTGRES_PORT="1")
    assert "PostgreSQL at 127.0.0.1:1/" in away


def _keep(database: Database, topic: str, *letters: tuple[bytes | None, str | None]) -> list[int]:
    """Dead letters of a topic, each a value and its headers, as a consumer would have kept them; returns their ids."""
    with database.connect() as session, session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO clickstream.dead_letter "
            "(batch_id, topic, partition, message_offset, reason, message, value, headers) "
            "VALUES (1, %s, 0, 0, 'invalid_json', 'x', %s, %s)",
            [(topic, *letter) for letter in letters],
        )
        return [int(row[0]) for row in cursor.execute("SELECT dead_letter_id FROM clickstream.dead_letter ORDER BY 1")]


def _open(database: Database) -> list[int]:
    return [
        int(row[0])
        for row in _rows(
            database,
            "SELECT dead_letter_id FROM clickstream.dead_letter WHERE replayed_at IS NULL AND replays = 0 ORDER BY 1",
        )
    ]


def test_what_no_broker_answers_for_stays_open(migrated: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (migrated.env() | {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(replay, "_METADATA_SECONDS", 0.1)
    ids = _keep(migrated, "events", (b"{", None), (None, None))
    with pytest.raises(UserError, match=r"^no dead letter was sent: .* check KAFKA_BOOTSTRAP_SERVERS$"):
        dead_letters.replay()
    monkeypatch.setattr(Replay, "_require_topic", lambda _self: None)  # the broker goes away a moment later
    monkeypatch.setattr(replay, "_DELIVERY_SECONDS", 0.1)
    with pytest.raises(UserError, match=r"^2 dead letters were not sent and stay open: .* KAFKA_BOOTSTRAP_SERVERS"):
        dead_letters.replay()
    assert _open(migrated) == ids


def test_letters_of_a_topic_that_was_renamed_go_to_the_one_that_is_read_now(pipeline: Pipeline) -> None:
    create_topic(pipeline.bootstrap, f"{pipeline.topic}.old", 1)
    _keep(pipeline.database, f"{pipeline.topic}.old", (_fresh(1), None), (_fresh(2), None))
    _keep(pipeline.database, pipeline.topic, (_fresh(3), None))
    pipeline.consumer()
    said = _letters(pipeline, "replay")
    assert "3 dead letters replayed" in said
    assert f"2 of them came from topic {pipeline.topic}.old: sent to {pipeline.topic}, which KAFKA_TOPIC names" in said
    wait_until(
        lambda: _rows(pipeline.database, "SELECT count(*) FROM clickstream.event") == [(3,)], "all three to be stored"
    )
    assert topic_ends(pipeline.bootstrap, f"{pipeline.topic}.old") == {0: 0}


def test_a_topic_that_is_not_there_takes_no_letter(pipeline: Pipeline) -> None:
    ids = _keep(pipeline.database, pipeline.topic, (b"{", None))
    line = _refused(pipeline, "replay", KAFKA_TOPIC=f"{pipeline.topic}.nowhere")
    assert line.startswith(f"error: no dead letter was sent: topic {pipeline.topic}.nowhere: ")
    assert line.endswith("set KAFKA_TOPIC to the topic that the consumer reads")
    assert _open(pipeline.database) == ids


def test_letters_that_can_not_be_sent_keep_no_other_from_being_sent(pipeline: Pipeline) -> None:
    pipeline.topic = f"{pipeline.topic}.narrow"
    limit = 20_000
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    new = NewTopic(pipeline.topic, 1, 1, config={"max.message.bytes": str(limit)})
    admin.create_topics([new])[pipeline.topic].result(30)
    at_the_limit = os.urandom(limit - 75)  # a batch of one costs 71 bytes, our header 30 more
    ids = _keep(
        pipeline.database,
        pipeline.topic,
        (os.urandom(limit), None),
        (at_the_limit, None),
        (b"x" * 10 * limit, None),  # came compressed
        (b"{", '[["odd", 7]]'),
        *[(b"{", None)] * 1200,
        (os.urandom(limit), None),
    )
    process = pipeline.start("letters", "consumer", "dead-letters", "replay", role="clickstream_ingest")
    line = pipeline.fail(process)
    assert "1202 dead letters replayed\n1 of them fill the topic's limit: without the header" in process.log.read_text()
    assert line == (
        "error: 3 dead letters were not sent and stay open: "
        f"2 too large for topic {pipeline.topic}: raise its max.message.bytes (dead letter {ids[0]}); "
        f"1 with headers that no message can have: correct column headers (dead letter {ids[3]})"
    )
    assert _open(pipeline.database) == [ids[0], ids[3], ids[-1]]
    values = [record.value for record in read_topic(pipeline.bootstrap, pipeline.topic)]
    assert len(values) == 1202
    assert at_the_limit in values


def test_without_our_schema_the_line_says_to_migrate(pipeline: Pipeline) -> None:
    with pipeline.database.connect() as session:
        session.execute("DROP SCHEMA clickstream CASCADE")
    for command in (["list"], ["show", "1"], ["replay"]):
        assert "python -m services.migrate" in _refused(pipeline, *command)
