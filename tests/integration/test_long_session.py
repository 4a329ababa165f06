"""A session of any length costs what is new in it: neither a live view nor a pass reads it again from its beginning."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.postgres import Connection, connect, snapshot
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose
from services.consumer.store import Store
from services.rollups.catalogue import rollups
from services.rollups.tail import Tail
from tests.conftest import Database
from tests.dashboards.test_plans import nodes
from tests.integration.exactly import assert_exact
from tests.integration.intake import Topic
from tests.integration.pipeline import settings_of
from tests.integration.tails import tail_statement

START = datetime(2026, 8, 29, 23, tzinfo=UTC)  # so the session goes on into the next day, another partition
LENGTH = 5_000
ROWS_WORTH_READING = 60


class Robot:
    """One session that goes on and on, with a purchase early in it."""

    def __init__(self, database: Database) -> None:
        self.owner = connect(settings_of(database), "tests", autocommit=True)
        self.topic = Topic(partitions=1)
        self.topic.register(self.owner)
        self._store = Store(self.owner, "test", retention_days=0, event_max_bytes=100_000)
        self._aggregator = connect(settings_of(database, "clickstream_aggregate"), "tests", autocommit=True)
        self._tail = Tail(self._aggregator, work_mem_mb=4)
        self._tail.bind()
        self._made = 0

    def store(self, *seconds: float, event_type: str = "page_view", others: bool = False) -> None:
        """Events at these times after the start, in one batch; `others`: each of somebody else."""
        self.topic.append_events([self._event(second, event_type, others) for second in seconds])
        stands = self.topic.positions(self.owner)[0]
        batch = self.topic.batch(self.owner, _All(), most=len(seconds))  # type: ignore[arg-type]
        assert batch is not None
        assert batch.next_offsets[0] == stands + len(seconds)
        self._store.commit(batch)

    def roll_up(self) -> None:
        with snapshot(self._aggregator):
            assert self._tail.roll_up(1_000_000).events

    def close(self) -> None:
        self.owner.close()
        self._aggregator.close()

    def _event(self, second: float, event_type: str, others: bool) -> dict[str, Any]:
        self._made += 1
        someone = self._made if others else 0
        at_ms = to_unix_ms(START + timedelta(seconds=second))
        return {
            "event_id": compose(at_ms, self._made),
            "event_time": rfc3339_ms(at_ms),
            "event_type": event_type,
            "session_id": compose(to_unix_ms(START), someone),
            "visitor_id": f"v{someone}",
            "page_path": f"/page/{self._made % 7}",
            "device_type": "desktop",
        }


class _All:
    """Instead of chance: take all there is."""

    def randint(self, _least: int, most: int) -> int:
        return most


@pytest.fixture
def robot(migrated: Database) -> Iterator[Robot]:
    """A long session among many short ones, rolled up; its purchase was its third event."""
    robot = Robot(migrated)
    robot.store(*range(LENGTH), others=True)
    robot.store(0, 1)
    robot.store(2, event_type="purchase")
    robot.store(*range(3, LENGTH))
    robot.roll_up()
    robot.owner.execute("ANALYZE")
    yield robot
    robot.close()


def rows_read(connection: Connection, sql: str) -> int:
    """Rows of `event` that a query looks at, as it would if its days were too large to be read whole."""
    connection.execute("SET enable_seqscan = off")
    [(explained,)] = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".encode()).fetchall()
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(
        round((node["Actual Rows"] + sum(node.get(key, 0) for key in removed)) * node["Actual Loops"])
        for node in nodes(explained[0]["Plan"])
        if node.get("Relation Name", "").startswith("event_2")
    )


@pytest.mark.parametrize(
    "new",
    [(LENGTH + 1,), (LENGTH - 0.5,), (LENGTH / 2 + 0.5, LENGTH / 2 + 0.7), (5.5, LENGTH / 2 + 0.5, LENGTH + 10)],
    ids=["at its end", "a little late", "two in its middle", "all over it"],
)
def test_what_is_new_in_a_long_session_is_all_that_is_read(robot: Robot, new: tuple[float, ...]) -> None:
    robot.store(*new)
    for rollup in rollups(robot.owner):
        assert rows_read(robot.owner, tail_statement(robot.owner, rollup)) < ROWS_WORTH_READING, rollup.name
    assert_exact(robot.owner)
    robot.roll_up()
    assert_exact(robot.owner)


def test_what_comes_before_the_first_purchase_reads_as_far_as_the_purchase(robot: Robot) -> None:
    robot.store(1.5)
    (paths,) = [rollup for rollup in rollups(robot.owner) if rollup.name == "conversion_path_hour"]
    assert rows_read(robot.owner, tail_statement(robot.owner, paths)) < ROWS_WORTH_READING
    assert_exact(robot.owner)


def test_a_long_session_that_is_all_pending_is_counted_as_it_is(migrated: Database) -> None:
    robot = Robot(migrated)
    robot.store(*range(0, 2 * LENGTH, 2))
    robot.roll_up()
    robot.store(*range(1, 2 * LENGTH, 2))  # each new event lies between two old ones
    assert_exact(robot.owner)
    robot.store(*range(40))  # and at times that are taken
    assert_exact(robot.owner)
    robot.roll_up()
    assert_exact(robot.owner)
    robot.close()
