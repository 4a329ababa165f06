"""However many days of raw events are kept: whoever asks for a few takes no more locks than beside a few."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.embedded import postgres_alone
from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.errors import UserError
from services.common.postgres import Connection, connect, snapshot
from services.consumer.store import Store
from services.rollups.catalogue import rollups
from services.rollups.tail import Tail
from tests.conftest import Database, folder_for_everyone
from tests.events import World
from tests.integration.exactly import assert_exact
from tests.integration.intake import Topic
from tests.integration.pipeline import migrate, scalar, settings_of
from tests.integration.test_exactness import session

DAYS = 150  # with their indexes some 750 relations; the days of the events are four
MOST_LOCKS = 120


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    """Half a year of days, and events of four of them: some rolled up, some pending, some sent twice."""
    with connect(settings_of(migrated), "tests", autocommit=True) as connection:
        for days in range(DAYS):
            connection.execute("SELECT create_event_partition('2026-09-05'::date - %s::integer)", [days])
        yield connection


@pytest.fixture
def store(migrated: Database, owner: Connection) -> Iterator[tuple[Store, Topic, World, Connection]]:
    topic = Topic()
    topic.register(owner)
    with session(migrated, "clickstream_ingest") as consumer:
        yield Store(consumer, "test", retention_days=0, event_max_bytes=100_000), topic, World(31), consumer


def _relations_locked(connection: Connection) -> int:
    return int(str(scalar(connection, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()")))


def _commit_all(store: Store, topic: Topic, owner: Connection) -> None:
    while (batch := topic.batch(owner, random.Random(1))) is not None:
        store.commit(batch)


def test_a_batch_with_duplicates_locks_the_days_of_its_events(
    owner: Connection, store: tuple[Store, Topic, World, Connection]
) -> None:
    writer, topic, world, consumer = store
    events = [world.event() for _ in range(200)]
    topic.append_events([*events, *events[:50]])
    with consumer.transaction():
        while (batch := topic.batch(consumer, random.Random(1))) is not None:
            writer.commit(batch)
        assert _relations_locked(consumer) < MOST_LOCKS
    assert scalar(owner, "SELECT sum(duplicate) FROM ingest_batch") == 50


def test_a_pass_locks_the_days_of_its_events_and_of_their_sessions(
    migrated: Database, owner: Connection, store: tuple[Store, Topic, World, Connection]
) -> None:
    writer, topic, world, _ = store
    with session(migrated, "clickstream_aggregate") as aggregator:
        tail = Tail(aggregator, work_mem_mb=4)
        tail.bind()
        for _ in range(2):
            topic.append_events([world.event() for _ in range(200)])
            _commit_all(writer, topic, owner)
            with snapshot(aggregator):
                assert tail.roll_up(10_000).events == 200
                days = scalar(
                    aggregator,
                    "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation "
                    "WHERE l.pid = pg_backend_pid() AND c.relname ~ '^event_[0-9]{8}$'",
                )
                assert 0 < int(str(days)) <= 6
    assert_exact(owner)


def test_no_live_view_locks_other_days_than_those_of_the_tail(
    migrated: Database, owner: Connection, store: tuple[Store, Topic, World, Connection]
) -> None:
    writer, topic, world, _ = store
    for _ in range(2):
        topic.append_events([world.event() for _ in range(200)])
        _commit_all(writer, topic, owner)
    with session(migrated, "grafana_reader") as reader:
        for rollup in rollups(owner):
            with reader.transaction():
                reader.execute(f"SELECT count(*) FROM reporting.{rollup.name}".encode())
                assert _relations_locked(reader) < MOST_LOCKS, rollup.name
        of_session = scalar(owner, "SELECT session_id FROM reporting.session LIMIT 1")
        with reader.transaction():
            assert reader.execute("SELECT * FROM reporting.session_event(%s)", [of_session]).fetchall()
            assert _relations_locked(reader) < MOST_LOCKS


def test_a_recount_of_the_last_days_reads_no_others(
    migrated: Database, owner: Connection, store: tuple[Store, Topic, World, Connection]
) -> None:
    writer, topic, world, _ = store
    topic.append_events([world.event() for _ in range(200)])
    _commit_all(writer, topic, owner)
    found = verify(AggregatorSettings(**settings_of(migrated).model_dump()), days=2)
    assert not any(drift.drift_rows for drift in found)


def test_a_recount_of_all_days_that_the_server_has_no_room_for_says_what_to_do() -> None:
    settings = {"max_locks_per_transaction": "10", "max_connections": "20", "fsync": "off"}
    with folder_for_everyone() as data, postgres_alone(data, settings) as server:
        database = Database(server.host, server.port, server.user, server.password, "postgres")
        migrate(database)
        with database.connect() as owner:
            today = datetime.now(UTC).date()
            for days in range(60):
                owner.execute("SELECT clickstream.create_event_partition(%s)", [today - timedelta(days=days)])
        aggregator = AggregatorSettings(**settings_of(database).model_dump())
        with pytest.raises(UserError, match=r"all 60 partitions .* takes 300 locks, and the server has room for 180"):
            verify(aggregator, days=None)
        assert not any(drift.drift_rows for drift in verify(aggregator, days=2))


def test_twenty_sparse_years_are_stored_in_few_partitions_and_counted_exactly(migrated: Database) -> None:
    with session(migrated, "clickstream_ingest") as consumer, session(migrated) as watching:
        consumer.execute("SET clickstream.day_partition_days = 62")
        topic = Topic()
        topic.register(consumer)
        store = Store(consumer, "test", retention_days=0, event_max_bytes=100_000)
        for year in range(2006, 2026):
            world = World(year, datetime(year, 3, 1 + year % 20, tzinfo=UTC))
            topic.append_events([world.event() for _ in range(15)])
        _commit_all(store, topic, watching)
        assert scalar(watching, "SELECT count(*) FROM event") == 300
        assert 20 <= int(str(scalar(watching, "SELECT count(*) FROM event_partition"))) <= 25
        assert_exact(watching)
        with session(migrated, "clickstream_aggregate") as aggregator:
            tail = Tail(aggregator, work_mem_mb=4)
            tail.bind()
            with snapshot(aggregator):
                assert tail.roll_up(10_000).events == 300
        assert_exact(watching)
