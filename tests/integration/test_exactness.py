"""Every live view equals a recount of the raw events at every instant: late, repeated, aborted, rebuilt or not."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.postgres import Connection, connect, snapshot
from services.consumer.store import Store
from services.rollups.rebuild import rebuild
from services.rollups.tail import Tail
from tests.conftest import Database
from tests.events import World
from tests.integration.exactly import assert_exact
from tests.integration.intake import Topic
from tests.integration.pipeline import settings_of

STEPS = 25


class AbortedError(Exception):
    """A pass that ends before its commit."""


@contextmanager
def session(database: Database, role: str | None = None) -> Iterator[Connection]:
    with connect(settings_of(database, role), "tests", autocommit=True) as connection:
        yield connection


def roll_up(connection: Connection, tail: Tail, max_events: int, *, abort: bool = False) -> int:
    try:
        with snapshot(connection):
            events = tail.roll_up(max_events).events
            if abort:
                raise AbortedError
            return events
    except AbortedError:
        return 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_live_views_equal_a_recount_after_every_step_of_a_random_history(migrated: Database, seed: int) -> None:
    world, topic, produced = World(seed), Topic(), set[str]()
    chance = world.random
    with (
        session(migrated) as onlooker,
        session(migrated, "clickstream_ingest") as consumer,
        session(migrated, "clickstream_aggregate") as aggregator,
    ):
        topic.register(consumer)
        store = Store(consumer, "test", retention_days=0, event_max_bytes=100_000)
        tail = Tail(aggregator, work_mem_mb=4)
        tail.bind()
        seen: list[dict[str, object]] = []
        for _ in range(STEPS):
            fresh = [world.event() for _ in range(chance.randint(1, 60))]
            again = chance.choices(seen, k=chance.randint(0, 5)) if seen and chance.random() < 0.5 else []
            topic.append_events(fresh + again)
            seen += fresh
            batch = topic.batch(onlooker, chance)
            if batch is not None and chance.random() < 0.9:
                store.commit(batch)
                produced |= {str(row[0]) for row in batch.rows}
            assert_exact(onlooker, produced)
            if chance.random() < 0.5:
                roll_up(aggregator, tail, chance.choice([1, 40, 10_000]), abort=chance.random() < 0.3)
                assert_exact(onlooker, produced)


def test_verify_finds_nothing_on_a_true_history_and_everything_that_was_tampered_with(migrated: Database) -> None:
    settings = stored_history(migrated, seed=4)
    assert {drift.rollup: drift.drift_rows for drift in verify(settings, days=None) if drift.drift_rows} == {}
    with session(migrated) as owner:
        owner.execute("UPDATE page_hour SET views = views + 1 WHERE page_path = '/cart'")
        owner.execute("DELETE FROM session WHERE session_id IN (SELECT session_id FROM session LIMIT 2)")
        owner.execute("DELETE FROM event WHERE event_id IN (SELECT event_id FROM event LIMIT 1)")
        owner.execute("UPDATE partition_offset SET received = received + 1 WHERE partition = 0")
    different = {drift.rollup for drift in verify(settings, days=None) if drift.drift_rows}
    assert {"page_hour", "session", "ingest_batch", "partition_offset"} <= different


def test_rebuild_restores_every_rollup_from_raw_events_while_a_tail_is_pending(migrated: Database) -> None:
    settings = stored_history(migrated, seed=5)
    with session(migrated) as owner:
        for table in ("traffic_minute", "session", "session_hour", "visitor_day", "visitor_count", "path_hour"):
            owner.execute(f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} LIMIT 7)")
        owner.execute("UPDATE product_hour SET revenue = revenue + 1")
        owner.execute("INSERT INTO element_day VALUES ('2026-08-30', 's', '/nowhere', 'ghost', 'tablet', 5)")
        progress: list[tuple[int, int]] = []
        changed = rebuild(settings, lambda done, total: progress.append((done, total)))
        assert_exact(owner)
    assert progress[-1][0] == progress[-1][1]
    assert changed["element_day"] == 1
    assert changed["geography_hour"] == 0


def test_days_past_their_retention_keep_their_rollups_when_the_rest_is_rebuilt(migrated: Database) -> None:
    settings = stored_history(migrated, seed=6, rounds_pending=0)
    with session(migrated) as owner:
        old = "SELECT hour, page_path, sum(views) FROM reporting.page_hour WHERE hour < '2026-08-31' GROUP BY 1, 2"
        before = sorted(owner.execute(old.encode()).fetchall())
        owner.execute("SELECT drop_event_partition('2026-08-29')")
        owner.execute("UPDATE page_hour SET views = views + 1 WHERE hour >= '2026-08-31'")
        owner.execute("DELETE FROM session WHERE started_at >= '2026-08-31'")
        rebuild(settings, lambda _done, _total: None)
        assert sorted(owner.execute(old.encode()).fetchall()) == before
        fresh = "SELECT sum(views) FROM reporting.page_hour WHERE hour >= '2026-08-31'"
        raw = "SELECT count(*) FROM event WHERE event_type = 'page_view' AND event_time >= '2026-08-31'"
        assert owner.execute(fresh.encode()).fetchone() == owner.execute(raw.encode()).fetchone()
        assert not [drift for drift in verify(settings, days=None) if drift.drift_rows]


def test_a_window_is_verified_without_recounting_what_lies_before_it(migrated: Database) -> None:
    settings = stored_history(migrated, seed=7, start=datetime.now(UTC).replace(hour=0, minute=0) - timedelta(days=3))
    drifts = verify(settings, days=2)
    assert {drift.rollup: drift.drift_rows for drift in drifts if drift.drift_rows} == {}
    # What counts by the week is compared if one began within the window, which is not so on every day of the week.
    assert all(drift.rows > 0 for drift in drifts if drift.rollup not in ("path_week", "visitor_cohort"))


def stored_history(
    database: Database, seed: int, start: datetime | None = None, rounds_pending: int = 1
) -> AggregatorSettings:
    """Six rounds of batches, rolled up by small passes; the last rounds stay pending."""
    world, topic = World(seed, start) if start else World(seed), Topic()
    login = settings_of(database, "clickstream_aggregate").model_dump()
    settings = AggregatorSettings(**login, aggregator_pass_events=100)
    with session(database, "clickstream_ingest") as consumer, session(database, "clickstream_aggregate") as aggregator:
        topic.register(consumer)
        store = Store(consumer, "test", retention_days=0, event_max_bytes=100_000)
        tail = Tail(aggregator, work_mem_mb=4)
        tail.bind()
        for round_ in range(6):
            topic.append_events([world.event() for _ in range(150)])
            while (batch := topic.batch(consumer, random.Random(seed))) is not None:
                store.commit(batch)
            while round_ < 6 - rounds_pending and roll_up(aggregator, tail, 100):
                pass
    return settings
