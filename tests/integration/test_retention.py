"""What is past its time goes, and nothing else: beside a rebuild, a long reader, somebody's hands, a pending day."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from services.aggregator import housekeeping
from services.aggregator.run import Run
from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.errors import UserError
from services.common.postgres import Connection
from services.migrate import schema
from services.rollups.catalogue import rollups
from services.rollups.rebuild import rebuild
from tests.conftest import Database
from tests.integration.exactly import assert_exact
from tests.integration.pipeline import scalar, wait_until
from tests.integration.test_exactness import session, stored_history
from tests.integration.test_history import LIVE, RAW, TYPE_DAY

LOG = structlog.get_logger()
TODAY = datetime.now(UTC).date()
START = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(days=6)
FIRST_DAY = START.date()
Hook = Callable[[int, int], None]


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    with session(migrated) as connection:
        yield connection


def _history(database: Database, **changed: Any) -> AggregatorSettings:
    """Events of the days from six days ago to three days ago, all rolled up."""
    return stored_history(database, seed=21, start=START, rounds_pending=0).model_copy(update=changed)


def _keep(owner: Connection, settings: AggregatorSettings, days: int) -> housekeeping.Chores:
    return housekeeping.keep(owner, settings.model_copy(update={"event_retention_days": days}), LOG)


def _numbers(owner: Connection) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    """Every row of every rollup that says something: a sum of zeros does not."""
    found = {}
    for rollup in rollups(owner):
        rows = owner.execute(f"SELECT {', '.join(rollup.columns)} FROM {rollup.name}".encode()).fetchall()
        keys = len(rollup.keys)
        found[rollup.name] = {row[:keys]: row[keys:] for row in rows if any(row[keys:]) or not rollup.merges}
    return found


def _drop_by_hand(owner: Connection, day: date) -> None:
    owner.execute(f"ALTER TABLE event_{day:%Y%m} DETACH PARTITION event_{day:%Y%m%d}".encode())
    owner.execute(f"DROP TABLE event_{day:%Y%m%d}".encode())


def _once(do: Callable[[], object], *, last: bool = False) -> Hook:
    """As a rebuild's progress: does something after its first pass, or its last."""
    done: list[object] = []

    def hook(events: int, total: int) -> None:
        if not done and (events == total or not last):
            done.append(do())

    return hook


def _different(settings: AggregatorSettings) -> dict[str, int]:
    return {drift.rollup: drift.drift_rows for drift in verify(settings, days=None) if drift.drift_rows}


def test_no_day_is_dropped_while_an_upgrade_fills_a_rollup(migrated: Database, owner: Connection) -> None:
    settings = _history(migrated)
    schema.apply(owner, schema.read().extended(*TYPE_DAY))
    raw, chores = owner.execute(RAW.encode()).fetchall(), list[housekeeping.Chores]()
    with capture_logs() as logs, session(migrated, "clickstream_aggregate") as other:
        rebuild(settings, _once(lambda: chores.append(_keep(other, settings, 4))), only=["type_day"])
    assert [chore.partitions_dropped for chore in chores] == [0]
    (held,) = [line for line in logs if "dropped" in line["event"]]
    assert "a rebuild, or a migration, needs the raw events" in held["reason"]
    assert owner.execute(LIVE.encode()).fetchall() == raw
    assert _keep(owner, settings, 4).partitions_dropped == 2
    assert owner.execute(LIVE.encode()).fetchall() == raw
    assert _different(settings) == {}


def test_somebody_who_drops_a_day_by_our_function_is_held_while_a_rebuild_runs(
    migrated: Database, owner: Connection
) -> None:
    def drop() -> None:
        with pytest.raises(psycopg.errors.LockNotAvailable, match=f"needs the raw events of {FIRST_DAY}"):
            owner.execute("SELECT drop_event_partition(%s)", [FIRST_DAY])

    rebuild(_history(migrated), _once(drop))
    assert_exact(owner)


@pytest.mark.parametrize("last", [False, True])
def test_a_day_dropped_by_hand_while_a_rebuild_runs_takes_nothing_away(
    migrated: Database, owner: Connection, last: bool
) -> None:
    settings = _history(migrated)
    before = _numbers(owner)
    with pytest.raises(UserError, match=f"{FIRST_DAY}.*: nothing was changed"):
        rebuild(settings, _once(lambda: _drop_by_hand(owner, FIRST_DAY), last=last))
    assert _numbers(owner) == before


def test_a_rebuild_refuses_while_a_day_lacks_that_nobody_says_is_gone(migrated: Database, owner: Connection) -> None:
    settings = _history(migrated)
    before = _numbers(owner)
    _drop_by_hand(owner, FIRST_DAY)
    assert set(_different(settings)) >= {"ingest_batch", "page_hour"}
    with pytest.raises(
        UserError, match=rf"batches .* stored are there, days {FIRST_DAY}: .*INSERT INTO clickstream\.ex"
    ):
        rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before
    owner.execute("INSERT INTO clickstream.expired_day (day) VALUES (%s)", [FIRST_DAY])
    rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before
    assert _different(settings) == {}


def test_a_ledger_row_lives_as_long_as_its_raw_events(migrated: Database, owner: Connection) -> None:
    settings = _history(migrated)
    before = _numbers(owner)
    owner.execute("UPDATE ingest_batch SET committed_at = committed_at - interval '9 days'")
    batches = scalar(owner, "SELECT count(*) FROM ingest_batch")
    with migrated.connect(autocommit=False) as dump:
        dump.execute("SELECT count(*) FROM clickstream.event")
        assert _keep(owner, settings, 1).partitions_dropped == 0
    assert scalar(owner, "SELECT count(*) FROM ingest_batch") == batches
    assert _different(settings) == {}
    assert _keep(owner, settings, 1).partitions_dropped >= 4
    assert scalar(owner, "SELECT count(*) FROM ingest_batch") == 0
    assert _different(settings) == {}
    owner.execute("DELETE FROM expired_day")  # the ledger knows it, too
    rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before


def test_a_rebuild_refuses_while_the_ledger_does_not_know_some_events(migrated: Database, owner: Connection) -> None:
    settings = _history(migrated)
    before = _numbers(owner)
    lost = "DELETE FROM ingest_batch WHERE batch_id IN (SELECT batch_id FROM ingest_batch ORDER BY 1 LIMIT 2)"
    owner.execute(lost.encode())
    with pytest.raises(UserError, match=rf"^\d+ events have no row in the ledger, days {FIRST_DAY}.* restore-ledger$"):
        rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before
    with session(migrated, "clickstream_aggregate") as aggregator:
        assert scalar(aggregator, "SELECT restore_ledger()") == 2
    assert _different(settings) == {}
    rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before
    owner.execute("UPDATE ingest_batch SET committed_at = committed_at - interval '10 days'")
    assert _keep(owner, settings, 1).partitions_dropped >= 4
    assert scalar(owner, "SELECT count(*) FROM ingest_batch") == 0
    assert _different(settings) == {}  # what was restored is not carried twice


def test_a_rebuild_refuses_where_events_and_ledger_are_gone_together(migrated: Database, owner: Connection) -> None:
    settings = _history(migrated)
    before = _numbers(owner)
    owner.execute("TRUNCATE event, ingest_batch")
    with pytest.raises(UserError, match="the ledger accounts for 0 of the 900 events"):
        rebuild(settings, lambda _done, _total: None)
    assert _numbers(owner) == before


def test_a_day_with_a_pending_event_is_not_dropped_by_anybody(migrated: Database, owner: Connection) -> None:
    settings = stored_history(migrated, seed=22, start=START, rounds_pending=1)
    assert scalar(owner, "SELECT drop_event_partition(%s)", FIRST_DAY) is False
    assert _keep(owner, settings, 1).partitions_dropped == 0
    assert_exact(owner)


def test_a_pass_whose_events_are_not_all_there_stops_and_flags_nothing(migrated: Database, owner: Connection) -> None:
    settings = stored_history(migrated, seed=23, start=START, rounds_pending=1)
    pending = "SELECT count(*) FROM ingest_batch WHERE NOT rolled_up"
    batches = scalar(owner, pending)
    _drop_by_hand(owner, FIRST_DAY)
    with pytest.raises(UserError, match=rf"events that \d+ batches .* stored are there, days {FIRST_DAY}: nothing was"):
        Run(settings, LOG, threading.Event(), once=True).run()
    assert scalar(owner, pending) == batches
    assert "nothing was changed" in str(scalar(owner, "SELECT error FROM aggregator_run"))
    owner.execute("INSERT INTO clickstream.expired_day (day) VALUES (%s)", [FIRST_DAY])
    Run(settings, LOG, threading.Event(), once=True).run()
    assert scalar(owner, pending) == 0


def test_a_day_is_dropped_beside_readers_and_none_of_them_dies_of_it(migrated: Database, owner: Connection) -> None:
    _history(migrated)
    with session(migrated) as first, session(migrated) as second, ThreadPoolExecutor() as others:
        with first.transaction():
            first.execute("SELECT count(*) FROM event")
            dropped = others.submit(scalar, owner, "SELECT drop_event_partition(%s)", FIRST_DAY)
            _wait_for_locks(migrated, 1)
            left = others.submit(scalar, second, "SELECT count(*) FROM event WHERE event_day(event_id) = %s", FIRST_DAY)
            _wait_for_locks(migrated, 2)
        assert (dropped.result(20), left.result(20)) == (True, 0)


def test_events_in_somebodys_default_partition_are_in_the_books_and_keep_their_ledger_rows(
    migrated: Database, owner: Connection
) -> None:
    owner.execute("CREATE TABLE rest PARTITION OF event DEFAULT")
    settings = _history(migrated)
    batches = scalar(owner, "SELECT count(*) FROM ingest_batch")
    assert _different(settings) == {}
    owner.execute("UPDATE ingest_batch SET committed_at = committed_at - interval '10 days'")
    assert _keep(owner, settings, 1).partitions_dropped == 0
    assert scalar(owner, "SELECT count(*) FROM ingest_batch") == batches
    assert _different(settings) == {}


def test_a_day_that_was_made_again_under_another_name_is_dropped_as_every_day(
    migrated: Database, owner: Connection
) -> None:
    owner.execute("SELECT create_event_partition(%s)", [FIRST_DAY])
    owner.execute(f"ALTER TABLE event_{FIRST_DAY:%Y%m} DETACH PARTITION event_{FIRST_DAY:%Y%m%d}".encode())
    settings = _history(migrated)
    assert _keep(owner, settings, 1).partitions_dropped >= 4
    assert scalar(owner, "SELECT count(*) FROM event") == 0


def _wait_for_locks(database: Database, sessions: int) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.connect() as onlooker:
        wait_until(lambda: scalar(onlooker, waiting) == sessions, f"{sessions} sessions to wait for a lock")
