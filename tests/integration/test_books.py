"""Positions, ledger, dead letters and events are held against each other: one changed cell is found."""

import random
from collections.abc import Iterator

import pytest

from services.aggregator import books
from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.postgres import Connection
from services.consumer.store import Store
from services.rollups.tail import Tail
from tests.conftest import Database
from tests.events import World
from tests.integration.intake import TOPIC, Topic
from tests.integration.pipeline import Pipeline, scalar, settings_of
from tests.integration.test_exactness import roll_up, session

ONE_BATCH = "(SELECT max(batch_id) FROM ingest_batch WHERE stored > 0 AND dead > 0)"
ONE_LETTER = "(SELECT max(dead_letter_id) FROM dead_letter)"
ONE_EVENT = "(SELECT event_id FROM event LIMIT 1)"
# What somebody changes, and what `verify` says is off.
CHANGES = {
    "DELETE FROM dead_letter": {"dead_letter"},
    f"DELETE FROM dead_letter WHERE dead_letter_id = {ONE_LETTER}": {"dead_letter"},
    f"UPDATE dead_letter SET batch_id = batch_id - 1 WHERE dead_letter_id = {ONE_LETTER}": {"dead_letter"},
    f"UPDATE dead_letter SET batch_id = 0 WHERE dead_letter_id = {ONE_LETTER}": {"dead_letter"},
    f"UPDATE dead_letter SET message_offset = 1000000 WHERE dead_letter_id = {ONE_LETTER}": {"dead_letter"},
    f"UPDATE dead_letter SET topic = 'other' WHERE dead_letter_id = {ONE_LETTER}": {"dead_letter"},
    "UPDATE partition_offset SET received = 0, stored = 0, duplicate = 0, dead = 0": {"partition_offset"},
    "UPDATE partition_offset SET received = received + 1 WHERE partition = 1": {"partition_offset"},
    "UPDATE partition_offset SET received = received + 1, duplicate = duplicate + 1 WHERE partition = 1": {
        "partition_offset"
    },
    "UPDATE partition_offset SET stored = stored - 1, dead = dead + 1 WHERE partition = 1": {"partition_offset"},
    "UPDATE partition_offset SET lost = 1 WHERE partition = 1": {"partition_offset"},
    "UPDATE partition_offset SET next_offset = next_offset - 1 WHERE partition = 1": {"partition_offset"},
    "DELETE FROM partition_offset WHERE partition = 1": {"partition_offset"},
    "UPDATE ingest_batch SET duplicate = duplicate + 7, received = received + 7": {"ingest_batch", "partition_offset"},
    f"UPDATE ingest_batch SET lost = 5 WHERE batch_id = {ONE_BATCH}": {"partition_offset"},
    f"UPDATE ingest_batch SET stored = stored - 1, duplicate = duplicate + 1 WHERE batch_id = {ONE_BATCH}": {
        "ingest_batch",
        "partition_offset",
    },
    f"UPDATE ingest_batch SET dead = dead + 1, received = received + 1 WHERE batch_id = {ONE_BATCH}": {
        "ingest_batch",
        "partition_offset",
        "dead_letter",
    },
    f"UPDATE ingest_batch SET letters_expired = 1 WHERE batch_id = {ONE_BATCH}": {"dead_letter"},
    f"UPDATE ingest_batch SET event_days = '{{}}' WHERE batch_id = {ONE_BATCH}": {"ingest_batch"},
    f"UPDATE ingest_batch SET min_event_time = max_event_time WHERE batch_id = {ONE_BATCH}": {"ingest_batch"},
    f"UPDATE ingest_batch SET max_event_time = min_event_time WHERE batch_id = {ONE_BATCH}": {"ingest_batch"},
    f"UPDATE ingest_batch SET topic = 'other' WHERE batch_id = {ONE_BATCH}": {"partition_offset", "dead_letter"},
    "UPDATE ingest_batch SET next_offsets[1] = next_offsets[1] + 1 WHERE batch_id = 1": {"ingest_batch"},
    f"DELETE FROM ingest_batch WHERE batch_id = {ONE_BATCH}": {"ingest_batch", "partition_offset", "dead_letter"},
    f"DELETE FROM event WHERE event_id = {ONE_EVENT}": {"ingest_batch"},
    f"UPDATE event SET batch_id = batch_id % 2 + 1 WHERE event_id = {ONE_EVENT}": {"ingest_batch"},
    "INSERT INTO ledger_carried VALUES ('other', 0, 0, 0, 0, 1, 0)": {"partition_offset"},
}
LONG_AGO = "now() + interval '1 hour'"


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    with session(migrated) as connection:
        yield connection


@pytest.fixture
def history(migrated: Database, owner: Connection) -> Topic:
    """A history with duplicates and dead letters, all rolled up."""
    world, topic = World(31), Topic()
    topic.register(owner)
    seen: list[dict[str, object]] = []
    for _ in range(5):
        fresh = [world.event() for _ in range(40)]
        topic.append_events(fresh + seen[:6])
        seen = fresh
        for partition in range(3):
            topic.append(b"no event", partition)
        _store(migrated, topic)
    with session(migrated, "clickstream_aggregate") as aggregator:
        tail = Tail(aggregator, work_mem_mb=4)
        tail.bind()
        assert roll_up(aggregator, tail, 10_000)
    return topic


def _store(database: Database, topic: Topic) -> None:
    with session(database, "clickstream_ingest") as consumer:
        store = Store(consumer, "test", retention_days=0, event_max_bytes=100_000)
        while (batch := topic.batch(consumer, random.Random(1))) is not None:
            store.commit(batch)


def _off(owner: Connection) -> set[str]:
    checks = {
        "ingest_batch": books.ledger(owner, None),
        "partition_offset": books.positions(owner),
        "dead_letter": books.dead_letters(owner),
    }
    assert all(looked_at for looked_at, _ in checks.values())
    return {name for name, (_, odd) in checks.items() if odd}


@pytest.mark.usefixtures("history")
def test_one_changed_cell_of_the_books_is_found_and_named(owner: Connection) -> None:
    assert _off(owner) == set()
    assert scalar(owner, "SELECT least(sum(duplicate), sum(dead)) > 10 FROM partition_offset")
    for change, expected in CHANGES.items():
        with owner.transaction(force_rollback=True):
            assert owner.execute(change.encode()).rowcount > 0, change
            assert _off(owner) == expected, change


@pytest.mark.usefixtures("history")
def test_what_is_past_its_time_still_adds_up(owner: Connection) -> None:
    owner.execute("UPDATE dead_letter SET replayed_at = now(), replays = 1 WHERE partition = 1")
    assert scalar(owner, f"SELECT expire_dead_letters({LONG_AGO})") == 5
    assert _off(owner) == set()
    assert scalar(owner, f"SELECT expire_ledger({LONG_AGO})") == 0, "raw events are there"
    owner.execute("SELECT drop_event_partition(first_day) FROM event_partition")
    assert scalar(owner, f"SELECT expire_ledger({LONG_AGO})") == 5
    assert (books.positions(owner), books.dead_letters(owner)) == ((3, 0), (0, 0))
    owner.execute("UPDATE dead_letter SET replayed_at = now(), replays = 1 WHERE partition = 2")
    assert scalar(owner, f"SELECT expire_dead_letters({LONG_AGO})") == 5
    assert (books.positions(owner), books.dead_letters(owner)) == ((3, 0), (0, 0))
    for change, found in (
        ("DELETE FROM dead_letter", (0, 1)),
        ("UPDATE ledger_carried SET duplicate = duplicate + 1", (1, 0)),
        ("DELETE FROM ledger_carried", (4, 1)),
        ("UPDATE partition_offset SET lost = 1 WHERE partition = 0", (1, 0)),
    ):
        with owner.transaction(force_rollback=True):
            owner.execute(change.encode())
            assert (books.positions(owner)[1], books.dead_letters(owner)[1]) == found, change


def test_a_position_set_back_to_read_again_is_in_the_ledger(
    migrated: Database, owner: Connection, history: Topic
) -> None:
    stored = scalar(owner, "SELECT count(*) FROM event")
    owner.execute("SELECT read_again(%s, 1, 0)", [TOPIC])
    _store(migrated, history)
    assert scalar(owner, "SELECT count(*) FROM event") == stored
    assert _off(owner) == set()
    owner.execute("UPDATE partition_offset SET next_offset = 0 WHERE partition = 1")  # by hand, and untold
    assert _off(owner) == {"partition_offset"}
    _store(migrated, history)
    assert _off(owner) == {"ingest_batch"}


def test_a_rollup_that_is_left_out_of_a_verification_is_said_and_fails(pipeline: Pipeline) -> None:
    pipeline.succeed(pipeline.aggregator("verify", "--all", name="all-filled"))
    with pipeline.database.connect() as session:
        session.execute("DELETE FROM clickstream.rollup_filled WHERE rollup IN ('page_day', 'session')")
    failed = pipeline.aggregator("verify", "--all")
    assert pipeline.fail(failed).strip() == "2 differences"
    lines = [" ".join(line.split()) for line in failed.log.read_text().splitlines()]
    for rollup in ("page_day", "session"):
        assert f"{rollup} is left out: it lacks its history; run python -m services.migrate" in lines


def test_a_rollup_that_is_being_filled_is_left_out_and_no_alarm_is_raised(migrated: Database) -> None:
    settings = AggregatorSettings(**settings_of(migrated, "clickstream_aggregate").model_dump())
    with migrated.connect() as owner, migrated.connect(autocommit=False) as filling:
        filling.execute("SET application_name = 'filling'")
        owner.execute("DELETE FROM clickstream.rollup_filled WHERE rollup = 'page_day'")
        filling.execute("LOCK TABLE clickstream.rebuild_lock IN EXCLUSIVE MODE")
        (left_out,) = [drift for drift in verify(settings, days=2) if drift.note]
        assert left_out.rollup == "page_day"
        assert "being filled by process" in left_out.note
        assert 'application "filling"' in left_out.note
        assert scalar(owner, "SELECT sum(drift_rows) FROM clickstream.verification") == 0
