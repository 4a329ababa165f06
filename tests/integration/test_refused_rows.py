"""Whatever somebody adds to table `event`, a row that it refuses becomes a dead letter and holds nobody up."""

import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import structlog
from confluent_kafka import Message

from services.aggregator.run import Run
from services.aggregator.settings import AggregatorSettings
from services.common.postgres import Connection, connect, describe
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose
from services.consumer.batch import Batch
from services.consumer.store import CLEAN_BATCHES, Store
from tests.conftest import Database
from tests.integration.pipeline import Pipeline, scalar, settings_of, wait_until
from tests.integration.readings import assert_exactly_once
from tests.integration.sending import send, send_events

_NOW_MS = to_unix_ms(datetime.now(UTC))
_VISITOR = "visitor-of-the-row"
_FUNCTION = (
    "CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN IF new.city = 'bad' THEN {}; END IF; RETURN new; END$$; "
)
_TRIGGER = "CREATE TRIGGER spoil {} INSERT ON event FOR EACH ROW EXECUTE FUNCTION public.spoil()"
_LATE_TRIGGER = (
    "CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION public.spoil()"
)
# What somebody adds, each refusing an event of the city `bad`.
_ADDED = {
    "a check": "ALTER TABLE event ADD CONSTRAINT honest CHECK (city <> 'bad')",
    "a not null": "ALTER TABLE event ADD tag text GENERATED ALWAYS AS (nullif(city, 'bad')) STORED NOT NULL",
    "a generated column": "ALTER TABLE event ADD n integer GENERATED ALWAYS AS (1 / (length(city) - 3)) STORED",
    "a foreign key": "CREATE TABLE place (city text PRIMARY KEY); INSERT INTO place VALUES ('good'); "
    "ALTER TABLE event ADD FOREIGN KEY (city) REFERENCES place",
    "a foreign key that waits": "CREATE TABLE place (city text PRIMARY KEY); INSERT INTO place VALUES ('good'); "
    "ALTER TABLE event ADD FOREIGN KEY (city) REFERENCES place DEFERRABLE INITIALLY DEFERRED",
    "a trigger that raises": _FUNCTION.format("RAISE EXCEPTION 'no'") + _TRIGGER.format("BEFORE"),
    "a trigger's own code": _FUNCTION.format("RAISE 'no' USING ERRCODE = 'ZZ001'") + _TRIGGER.format("AFTER"),
    "a trigger at the end": _FUNCTION.format("RAISE check_violation") + _LATE_TRIGGER,
    "a trigger that takes it away": _FUNCTION.format("RETURN NULL") + _TRIGGER.format("BEFORE"),
    "an index of long rows": "CREATE INDEX ON event (page_title)",
    "a unique index of a day": "SELECT create_event_partition(now()::date); "
    "DO $$BEGIN EXECUTE format('CREATE UNIQUE INDEX ON %I ((nullif(city, ''good''))) ', "
    "'event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END$$; "
    "INSERT INTO event (event_id, session_id, event_time, batch_id, event_type, visitor_id, page_path, device_type, "
    f"site, city) VALUES ('{compose(_NOW_MS, 0)}', '{compose(_NOW_MS, 0)}', now(), 0, 'click', 'v', '/', 'other', 's', "
    "'bad')",
}


@pytest.fixture
def session(migrated: Database) -> Iterator[Connection]:
    """The consumer's own session."""
    with connect(settings_of(migrated, "clickstream_ingest"), "tests", autocommit=True) as connection:
        connection.execute(
            "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES ('t', 0, 0, 0)"
        )
        yield connection


@pytest.fixture
def store(session: Connection) -> Store:
    """Of a partition that stands at its beginning."""
    return Store(session, "tests", 2, 1024 * 1024)


def _add(database: Database, statements: str) -> None:
    with database.connect() as owner:
        owner.execute("SET search_path = clickstream")
        owner.execute("SET timezone = UTC")
        with owner.transaction():  # the parent first, as whoever stores: else one of the two may be a deadlock's victim
            owner.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
            owner.execute(statements.encode())


def _event(number: int, **changes: Any) -> bytes:
    fields = {
        "event_id": compose(_NOW_MS, number),
        "event_time": rfc3339_ms(_NOW_MS),
        "event_type": "click",
        "session_id": compose(_NOW_MS, 0),
        "visitor_id": _VISITOR,
        "page_path": "/",
        "device_type": "other",
        "city": "good",
    }
    return json.dumps(fields | changes).encode()


def _bad(number: int, **changes: Any) -> bytes:
    """Refused by each of the above; a title that no index row can hold."""
    draw = random.Random(number)
    noise = "".join(chr(draw.randint(0x4E00, 0x9FFF)) for _ in range(2000))
    return _event(number, **({"city": "bad", "page_title": noise} | changes))


def _batch(values: list[bytes], first_offset: int = 0) -> Batch:
    messages = [
        Message(topic="t", partition=0, offset=n, key=b"k", value=value, timestamp=(1, 1))
        for n, value in enumerate(values, first_offset)
    ]
    end = first_offset + len(values)
    return Batch("t", messages, {0: first_offset}, {0: end}, {0: end})


def _books(session: Connection) -> tuple[Any, ...]:
    row = session.execute("SELECT received, stored, duplicate, dead FROM partition_offset").fetchone()
    assert row is not None
    return row


def _letters(session: Connection) -> list[tuple[int, str]]:
    return session.execute("SELECT message_offset, reason FROM dead_letter ORDER BY 1").fetchall()


@pytest.mark.parametrize("added", _ADDED)
def test_what_somebody_added_to_the_table_refuses_a_row_and_the_others_are_stored(
    migrated: Database, session: Connection, store: Store, added: str
) -> None:
    _add(migrated, _ADDED[added])
    before = scalar(session, "SELECT count(*) FROM event")
    values = [_event(n) for n in range(1, 300)]
    values[40], values[250] = _bad(41), _bad(251)
    if added == "a generated column":
        values[40], values[250] = _bad(41, page_title=None), _bad(251, page_title=None)
    store.commit(_batch(values))
    assert _books(session) == (299, 297, 0, 2)
    assert _letters(session) == [(40, "rejected_by_postgres"), (250, "rejected_by_postgres")]
    assert scalar(session, "SELECT count(*) FROM event") == 297 + int(str(before))
    assert _VISITOR not in str(session.execute("SELECT message FROM dead_letter").fetchall())


def test_an_event_refused_at_first_and_sent_again_with_other_content_is_stored(
    migrated: Database, session: Connection, store: Store
) -> None:
    _add(migrated, _ADDED["a check"])
    store.commit(_batch([_bad(1), _event(2), _bad(1), _event(1), _event(1), _event(2)]))
    assert _books(session) == (6, 2, 2, 2)
    assert _letters(session) == [(0, "rejected_by_postgres"), (2, "rejected_by_postgres")]


@pytest.mark.parametrize("clean_batches", [0, CLEAN_BATCHES])
def test_if_every_row_is_refused_all_become_dead_letters(
    migrated: Database, session: Connection, store: Store, clean_batches: int
) -> None:
    _add(migrated, "ALTER TABLE event ADD tenant text NOT NULL")
    store._clean_batches = clean_batches
    store.commit(_batch([_event(n) for n in range(500)]))
    assert _books(session) == (500, 0, 0, 500)


def test_a_broken_trigger_is_waited_for_and_makes_no_dead_letter(
    migrated: Database, session: Connection, store: Store
) -> None:
    _add(migrated, _FUNCTION.format("DELETE FROM nowhere") + _TRIGGER.format("BEFORE"))
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.commit(_batch([_bad(1)]))
    assert _letters(session) == []


def test_a_new_day_takes_over_what_was_added_to_the_table(
    migrated: Database, session: Connection, store: Store
) -> None:
    for added in ("a check", "a not null"):
        _add(migrated, _ADDED[added])
    _add(migrated, "ALTER TABLE event ADD tenant text NOT NULL DEFAULT 'ours', ALTER page_url SET STORAGE EXTERNAL")
    yesterday_ms = _NOW_MS - 86_400_000
    late = {"event_id": compose(yesterday_ms, 1), "event_time": rfc3339_ms(yesterday_ms)}
    store.commit(_batch([_event(1), _event(2, **late), _bad(3)]))
    assert _books(session) == (3, 2, 0, 1)
    assert session.execute("SELECT tenant, tag, count(DISTINCT tableoid) FROM event GROUP BY 1, 2").fetchall() == [
        ("ours", "good", 2)
    ]
    storage = "SELECT DISTINCT attstorage FROM pg_attribute WHERE attname = 'page_url' AND attrelid IN "
    assert session.execute(f"{storage} (SELECT tableoid FROM event)".encode()).fetchall() == [("e",)]


def test_the_log_says_what_is_wrong_without_the_row(pipeline: Pipeline) -> None:
    raises = _FUNCTION.format("RAISE 'down' USING ERRCODE = '58000', DETAIL = 'Failing row: ' || new.visitor_id")
    _add(pipeline.database, raises + _TRIGGER.format("BEFORE"))
    consumer = pipeline.consumer()
    send(pipeline.bootstrap, pipeline.topic, [(b"k", _bad(1, page_title=None))])
    wait_until(lambda: ": down" in consumer.log.read_text(), "the consumer to say what is wrong")
    assert _VISITOR not in consumer.log.read_text()
    _add(pipeline.database, "DROP TRIGGER spoil ON event")
    pipeline.wait_until_stored(30)


_SLOW = (
    "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN PERFORM pg_sleep({}); RETURN new; END$$; "
    "CREATE TRIGGER slow BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION public.slow()"
)


def _limit(database: Database, setting: str) -> None:
    name = database.dbname
    _add(database, f"ALTER ROLE clickstream_ingest IN DATABASE {name} SET {setting}")


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
def test_a_time_limit_shorter_than_a_batch_makes_the_batches_smaller(pipeline: Pipeline, limit: str) -> None:
    _add(pipeline.database, _SLOW.format(0.01))
    _limit(pipeline.database, f"{limit} = '200ms'")
    send_events(pipeline.bootstrap, pipeline.topic, 60)
    consumer = pipeline.consumer(CONSUMER_BATCH_SECONDS="1")
    pipeline.wait_until_stored(60)
    assert_exactly_once(pipeline)
    with pipeline.database.connect() as owner:
        assert int(str(scalar(owner, "SELECT count(*) FROM clickstream.ingest_batch"))) > 3
    assert "smaller ones are tried" in consumer.log.read_text()
    assert "another consumer owns" not in consumer.log.read_text()


def test_a_consumer_that_stores_in_small_portions_ends_between_two_of_them(pipeline: Pipeline) -> None:
    _add(pipeline.database, _SLOW.format(0.02))
    _limit(pipeline.database, "statement_timeout = '300ms'")
    send_events(pipeline.bootstrap, pipeline.topic, 1500)
    consumer = pipeline.consumer(CONSUMER_BATCH_SECONDS="2")
    with pipeline.database.connect() as owner:
        portions = "SELECT count(*) FROM clickstream.ingest_batch"
        wait_until(lambda: scalar(owner, portions) != 0, "a first portion to be stored")
        consumer.ask_to_stop()
        pipeline.succeed(consumer, 6)
        assert int(str(scalar(owner, "SELECT count(*) FROM clickstream.event"))) < 1000
    _add(pipeline.database, "DROP TRIGGER slow ON event")
    pipeline.consumer("next")
    pipeline.wait_until_stored(30)
    assert_exactly_once(pipeline)


def test_a_time_limit_shorter_than_a_single_event_is_said_with_its_remedy(
    migrated: Database, session: Connection, store: Store
) -> None:
    _add(migrated, _SLOW.format(2))
    session.execute("SET statement_timeout = '200ms'")
    batch = _batch([_event(1), _event(2)])
    with pytest.raises(psycopg.errors.QueryCanceled) as caught:
        store.commit(batch)
    told = describe(caught.value, settings_of(migrated))
    assert told.endswith("raise it (ALTER ROLE … SET statement_timeout)")
    session.execute("SET statement_timeout = 0")
    _add(migrated, "DROP TRIGGER slow ON event")
    store.commit(batch)
    assert _books(session) == (2, 2, 0, 0)


def test_a_batch_size_that_fitted_is_kept_and_then_grows_again(
    migrated: Database, session: Connection, store: Store
) -> None:
    _add(migrated, _SLOW.format(0.01))
    session.execute("SET statement_timeout = '300ms'")
    store.commit(_batch([_event(n) for n in range(100)]))
    session.execute("SET statement_timeout = 0")
    _add(migrated, "DROP TRIGGER slow ON event")
    for n in range(1, 12):
        store.commit(_batch([_event(100 * n + i) for i in range(100)], 100 * n))
    per_batch = [n for (n,) in session.execute("SELECT received FROM ingest_batch ORDER BY batch_id")]
    assert max(per_batch[:8]) < 50
    assert per_batch[-1] == 100
    assert _books(session) == (1200, 1200, 0, 0)


def test_an_id_that_is_taken_since_its_sequence_went_back_holds_no_batch_up(
    migrated: Database, session: Connection, store: Store
) -> None:
    store.commit(_batch([_event(1), b"{"]))
    store.commit(_batch([_event(2), b"{"], 2))
    with migrated.connect() as owner:
        for sequence in ("ingest_batch_batch_id_seq", "dead_letter_dead_letter_id_seq"):
            owner.execute(f"SELECT setval('clickstream.{sequence}', 1, false)".encode())
    store.commit(_batch([_event(3), b"{", _event(1)], 4))
    assert _books(session) == (7, 3, 1, 3)
    ids = session.execute("SELECT batch_id, stored FROM ingest_batch ORDER BY 1").fetchall()
    assert [stored for _, stored in ids] == [1, 1, 1]
    assert session.execute("SELECT batch_id, count(*) FROM event GROUP BY 1 ORDER BY 1").fetchall() == ids
    assert len(_letters(session)) == 3


def test_a_batch_id_drawn_before_a_failover_and_taken_after_it_is_drawn_anew(session: Connection, store: Store) -> None:
    batch = _batch([_event(1), b"{"])
    batch.batch_id = 1  # by the server that is gone
    with session.transaction():
        session.execute(
            "INSERT INTO ingest_batch (topic, partitions, first_offsets, next_offsets, lag_messages, "
            "received, stored, duplicate, dead, bytes, seconds, consumer, rolled_up) "
            "VALUES ('other', '{0}', '{0}', '{0}', '{0}', 0, 0, 0, 0, 0, 0, 'other', true)"
        )
    store.commit(batch)
    assert _books(session) == (2, 1, 0, 1)
    assert scalar(session, "SELECT batch_id FROM event") == scalar(session, "SELECT max(batch_id) FROM ingest_batch")


def test_a_run_of_the_aggregator_whose_id_is_taken_draws_another(migrated: Database) -> None:
    login = settings_of(migrated, "clickstream_aggregate")
    settings = AggregatorSettings(**login.model_dump(), aggregator_run_seconds=1)
    for _ in range(2):
        Run(settings, structlog.stdlib.get_logger(), threading.Event(), once=True).run()
        with migrated.connect() as owner:
            owner.execute("SELECT setval('clickstream.aggregator_run_run_id_seq', 1, false)")
            assert (
                scalar(owner, "SELECT count(*) FILTER (WHERE error IS NOT NULL) FROM clickstream.aggregator_run") == 0
            )
    with migrated.connect() as owner:
        assert scalar(owner, "SELECT count(*) FROM clickstream.aggregator_run") == 2
