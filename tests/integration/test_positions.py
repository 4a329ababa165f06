"""Positions beside other consumers: whose batch may move them, and what is no gap although it looks like one."""

from collections.abc import Iterator

import pytest

from services.common.postgres import Connection, connect
from services.consumer import positions
from services.consumer.batch import Batch
from services.consumer.ledger import FencedError
from services.consumer.positions import Extent, Hints, Position, Topic, Update
from services.consumer.store import Store
from tests.conftest import Database
from tests.events import World, encode, message
from tests.integration.pipeline import Pipeline, scalar, settings_of, wait_until
from tests.integration.proxy import proxy
from tests.integration.readings import assert_exactly_once

NAME = "events"
NOTHING = Hints({}, {})


@pytest.fixture
def connection(migrated: Database) -> Iterator[Connection]:
    """The consumer's own session; partition 0 stands at 0 on the topic `new`."""
    with connect(settings_of(migrated, "clickstream_ingest"), "consumer tests", autocommit=True) as session:
        positions.take(session, NAME, {}, _topic("new"), NOTHING, "tests")
        yield session


@pytest.mark.parametrize(("read_from", "passes"), [("old", False), ("new", True), (None, True)])
def test_a_batch_of_a_topic_that_was_made_anew_is_fenced_at_the_same_offset(
    connection: Connection, read_from: str | None, passes: bool
) -> None:
    value = encode([World(1).event()])[0]
    topic_ids = {} if read_from is None else {0: read_from}
    batch = Batch(NAME, [message(value, 0, 0, NAME)], {0: 0}, {0: 1}, {0: 1}, topic_ids)
    store = Store(connection, "tests", 0, 1 << 20)
    if passes:
        assert store.commit(batch).stored == 1
    else:
        with pytest.raises(FencedError):
            store.commit(batch)
        assert positions.read(connection, NAME) == {0: Position(0, 0, "new", None)}


def test_a_topic_that_was_not_known_by_an_id_is_known_by_the_first_that_is_told(connection: Connection) -> None:
    connection.execute("UPDATE partition_offset SET topic_id = NULL")
    known = positions.read(connection, NAME)
    taken, gaps = positions.take(connection, NAME, known, _topic("told", high=5), NOTHING, "tests")
    assert (taken[0].topic_id, gaps) == ("told", [])
    assert positions.update(connection, NAME, [Update(0, 0, 0, 5, None, "told")]) == {0}
    assert positions.read(connection, NAME)[0] == Position(0, 5, "told", None)


def test_a_position_that_moved_on_after_it_was_read_makes_no_gap(connection: Connection) -> None:
    known = positions.read(connection, NAME)
    positions.update(connection, NAME, [Update(0, 0, 700, 700, 3, "new")])
    taken, gaps = positions.take(connection, NAME, known, _topic("new", low=500, high=700), NOTHING, "tests")
    assert (taken, gaps) == ({}, [])
    assert positions.read(connection, NAME)[0] == Position(700, 700, "new", 3)


def test_a_log_that_ends_with_an_older_epoch_than_was_read_is_an_older_copy(connection: Connection) -> None:
    positions.update(connection, NAME, [Update(0, 0, 700, 700, 3, "new")])
    known = positions.read(connection, NAME)
    taken, gaps = positions.take(connection, NAME, known, _topic("new", 10, 800, epoch=2), NOTHING, "tests")
    assert taken == {0: Position(10, 10, "new", None)}
    assert [(gap.from_offset, gap.next_offset, gap.lost) for gap in gaps] == [(700, 10, 0)]


def test_a_position_that_somebody_holds_is_left_for_the_next_time(connection: Connection, migrated: Database) -> None:
    with migrated.connect(autocommit=False) as other:
        other.execute("SELECT FROM clickstream.partition_offset FOR UPDATE")
        assert positions.update(connection, NAME, [Update(0, 0, 7, 7, None, "new")]) == set()
    assert positions.update(connection, NAME, [Update(0, 0, 7, 7, None, "new")]) == {0}


def test_two_groups_beside_each_other_make_no_gap_and_no_duplicate(pipeline: Pipeline) -> None:
    near = pipeline.consumer("near", CONSUMER_BATCH_SECONDS="0.02")
    with proxy(pipeline.database.host, pipeline.database.port, delay_seconds=0.02) as further:
        elsewhere = {"CONSUMER_GROUP_ID": f"other-{pipeline.topic}", "POSTGRES_PORT": str(further.port)}
        far = pipeline.consumer("far", CONSUMER_BATCH_SECONDS="0.02", **elsewhere)
        for consumer in (near, far):
            wait_until(lambda c=consumer: "partitions assigned" in c.log.read_text(), f"{consumer.name} to be at work")  # type: ignore[misc]
        producer = pipeline.start("producer", "producer", "simulate", "--rate", "3000", "--events", "24000")
        pipeline.succeed(producer)
        pipeline.wait_until_stored()
    with pipeline.database.connect() as session:
        assert scalar(session, "SELECT count(*) FROM clickstream.ingest_batch WHERE note IS NOT NULL") == 0
    assert_exactly_once(pipeline)


def _topic(identity: str, low: int = 0, high: int = 0, epoch: int | None = None) -> Topic:
    return Topic(identity, frozenset([0]), {0: Extent(low, high, epoch)})
