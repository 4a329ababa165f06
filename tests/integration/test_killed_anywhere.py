"""A process that dies between any two statements leaves nothing behind, and its work is done once all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest

from services.common.postgres import Connection, connect, snapshot
from services.consumer.batch import Batch
from services.consumer.ledger import FencedError
from services.consumer.store import Store
from services.rollups.tail import Tail
from tests.conftest import Database
from tests.events import World
from tests.integration.exactly import assert_exact
from tests.integration.intake import Topic
from tests.integration.pipeline import settings_of


class Dying(psycopg.Cursor[tuple[Any, ...]]):
    """Loses its connection, as a process that is killed does, before its nth statement."""

    statements_to_live = 0

    def _live_on(self) -> None:
        Dying.statements_to_live -= 1
        if Dying.statements_to_live < 0:
            self.connection.pgconn.finish()

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        self._live_on()
        return super().execute(*args, **kwargs)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        self._live_on()
        return super().copy(*args, **kwargs)


@contextmanager
def session(database: Database, role: str) -> Iterator[Connection]:
    with connect(settings_of(database, role), "tests", autocommit=True) as connection:
        yield connection


@contextmanager
def dying_session(database: Database, role: str, statements: int) -> Iterator[Connection]:
    with session(database, role) as connection:
        Dying.statements_to_live = statements
        connection.cursor_factory = Dying
        yield connection


def new_store(connection: Connection) -> Store:
    return Store(connection, "test", retention_days=0, event_max_bytes=100_000)


def next_batch(connection: Connection, topic: Topic) -> Batch:
    positions = topic.positions(connection)
    messages = [m for p, position in positions.items() for m in topic.messages[p][position:]]
    ends = {p: len(topic.messages[p]) for p in positions}
    return Batch(topic.messages[0][0].topic() or "", messages, positions, ends, ends)


def test_a_consumer_killed_before_any_statement_or_before_its_commit_changes_nothing(migrated: Database) -> None:
    world, topic = World(10), Topic()
    stored: set[str] = set()
    events = [world.event() for _ in range(30)]
    with session(migrated, "clickstream_ingest") as onlooker:
        topic.register(onlooker)
        for statements in count():
            topic.append_events(events)  # half of them for the second time: every way of writing has its turn
            topic.append(b"not an event", partition=1)
            batch = next_batch(onlooker, topic)
            before = topic.positions(onlooker)
            with dying_session(migrated, "clickstream_ingest", statements) as connection:
                try:
                    new_store(connection).commit(batch)
                    survived = True
                except psycopg.OperationalError:
                    survived = False
            if survived:
                break
            assert topic.positions(onlooker) == before
            assert_exact(onlooker, stored)
            new_store(onlooker).commit(batch)  # what the next process does
            stored |= {event["event_id"] for event in events}
            assert_exact(onlooker, stored)
            events = events[15:] + [world.event() for _ in range(15)]
        dead = onlooker.execute("SELECT count(*) FROM dead_letter").fetchone()
    assert statements >= 6, "the transaction has more statements than were interrupted"
    assert dead == (statements + 1,)


def test_a_batch_whose_commit_was_never_confirmed_is_not_stored_again(migrated: Database) -> None:
    world, topic = World(11), Topic()
    topic.append_events([world.event() for _ in range(50)])
    with session(migrated, "clickstream_ingest") as connection:
        topic.register(connection)
        batch = next_batch(connection, topic)
        new_store(connection).commit(batch)
        with pytest.raises(FencedError):
            new_store(connection).commit(batch)
        assert_exact(connection, {str(row[0]) for row in batch.rows})


def test_an_aggregator_killed_before_any_statement_or_before_its_commit_counts_nothing_twice(
    migrated: Database,
) -> None:
    world, topic = World(12), Topic()
    with session(migrated, "clickstream_ingest") as consumer:
        topic.register(consumer)
        for statements in count():
            topic.append_events([world.event() for _ in range(20)])
            new_store(consumer).commit(next_batch(consumer, topic))
            with session(migrated, "clickstream_aggregate") as aggregator:
                tail = Tail(aggregator, work_mem_mb=4)
                tail.bind()
                aggregator.cursor_factory = Dying
                Dying.statements_to_live = statements
                try:
                    with snapshot(aggregator):
                        tail.roll_up(10_000)
                    survived = True
                except psycopg.OperationalError:
                    survived = False
            pending = consumer.execute("SELECT count(*) FROM ingest_batch WHERE NOT rolled_up").fetchone()
            if survived:
                break
            assert pending == (statements + 1,)
            if statements % 5 == 0:
                assert_exact(consumer)
        assert pending == (0,)
        assert_exact(consumer)
    assert statements > len(tail.rollups), "every rollup's upsert was interrupted"
