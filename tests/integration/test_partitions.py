"""Day partitions beside whatever else is in the catalogue: other relations, and partitions that people attached."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
import structlog

from services.aggregator import housekeeping
from services.aggregator.settings import AggregatorSettings
from services.common import uuid7
from services.common.postgres import Connection, connect
from tests.conftest import Database
from tests.events import first_id
from tests.integration.pipeline import scalar, settings_of

_TODAY = datetime.now(UTC).date()
_ODD_NAMES = ("event_staging", "events_20261399", "event_2026013a", "ng_b", "event_", "12345678", "x_99999999")
_LISTED = "SELECT first_day, last_day, partition FROM event_partition WHERE first_day < '2027-01-01' ORDER BY 1"
_INSERT = (
    "INSERT INTO clickstream.event (event_id, session_id, event_time, batch_id, event_type, visitor_id, page_path, "
    "device_type, site) VALUES (%(id)s, %(id)s, now(), 1, 'click', 'v', '/', 'other', 's') "
    "RETURNING tableoid::regclass::text"
)


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    """The owner's session, in a catalogue full of relations whose names look like partitions' or like nothing."""
    with connect(settings_of(migrated), "tests", autocommit=True) as connection:
        for name in _ODD_NAMES:
            connection.execute(f'CREATE TABLE "{name}" (n integer)'.encode())
        connection.execute("CREATE TABLE archive (id text) PARTITION BY RANGE (id)")
        connection.execute("CREATE TABLE archive_x PARTITION OF archive FOR VALUES FROM ('ng_b') TO ('z')")
        connection.execute("CREATE TABLE places (id text) PARTITION BY LIST (id)")
        connection.execute("CREATE TABLE places_x PARTITION OF places FOR VALUES IN ('ng_b')")
        yield connection


def _keep(database: Database) -> None:
    login = settings_of(database, "clickstream_aggregate")
    settings = AggregatorSettings(**login.model_dump(), event_retention_days=10)
    with connect(login, "tests", autocommit=True) as connection:
        housekeeping.keep(connection, settings, structlog.stdlib.get_logger())


def _attach(owner: Connection, name: str, first: date | None, past_last: date) -> None:
    low = f"'{first_id(first)}'" if first else "MINVALUE"
    high = first_id(past_last)
    owner.execute(f"CREATE TABLE \"{name}\" PARTITION OF event FOR VALUES FROM ({low}) TO ('{high}')".encode())


def _stored_in(owner: Connection, day: date) -> str:
    row = owner.execute(_INSERT.encode(), {"id": first_id(day)}).fetchone()
    assert row is not None
    return str(row[0])


def test_the_days_of_partitions_are_told_in_whatever_order_the_planner_looks(owner: Connection) -> None:
    for days in (0, 1, 30):
        made = [date(2026, 1, 1) + timedelta(days=n) for n in range(days)]
        for day in made:
            owner.execute("SELECT create_event_partition(%s)", [day])
        for off in ("nestloop", "hashjoin", "mergejoin"):
            with owner.transaction():
                for setting in (off, "indexscan", "bitmapscan"):
                    owner.execute(f"SET LOCAL enable_{setting} = off".encode())
                rows = owner.execute(_LISTED.encode())
                assert rows.fetchall() == [(day, day, f"event_{day:%Y%m%d}") for day in made]
                odd = "SELECT count(*) FROM event_partition WHERE last_day + 1 > '2027-01-01' OR size_bytes < 0"
                assert scalar(owner, odd) == 0


def test_partitions_that_people_attached_break_no_run_and_are_never_dropped(
    migrated: Database, owner: Connection
) -> None:
    _attach(owner, "Everything before", None, _TODAY - timedelta(days=40))
    _attach(owner, "event_19990101", _TODAY - timedelta(days=40), _TODAY - timedelta(days=30))
    _attach(owner, "tomorrow", _TODAY + timedelta(days=1), _TODAY + timedelta(days=2))
    owner.execute("SELECT create_event_partition(%s)", [_TODAY - timedelta(days=20)])
    _keep(migrated)
    days = [day for (day,) in owner.execute("SELECT first_day FROM event_partition ORDER BY 1")]
    assert _TODAY in days
    assert _TODAY + timedelta(days=1) not in days, "it is somebody's own"
    assert min(days) > _TODAY - timedelta(days=10), "what has expired is dropped"
    assert _stored_in(owner, _TODAY - timedelta(days=50)) == '"Everything before"'
    assert _stored_in(owner, _TODAY - timedelta(days=35)) == "event_19990101"
    assert _stored_in(owner, _TODAY + timedelta(days=1)) == "tomorrow"


def test_a_day_that_somebodys_partition_covers_in_part_gets_the_rest(owner: Connection) -> None:
    day = date(2026, 9, 1)
    first = first_id(day)
    noon = uuid7.lower_bound(uuid7.unix_ms(first) + 43_200_000)
    hour_later = uuid7.lower_bound(uuid7.unix_ms(noon) + 3_600_000)
    owner.execute(f"CREATE TABLE lunch PARTITION OF event FOR VALUES FROM ('{noon}') TO ('{hour_later}')".encode())
    assert scalar(owner, "SELECT create_event_partition('2026-09-01')") is True
    assert scalar(owner, "SELECT create_event_partition('2026-09-01')") is False
    tables = [
        str((owner.execute(_INSERT.encode(), {"id": i}).fetchone() or ("",))[0]) for i in (first, noon, hour_later)
    ]
    assert tables == ["event_20260901", "lunch", "event_20260901_1"]
    listed = owner.execute("SELECT first_day, partition FROM event_partition ORDER BY 2").fetchall()
    assert listed == [(day, "event_20260901"), (day, "event_20260901_1")]


def test_a_day_whose_partition_somebody_detached_gets_another(owner: Connection) -> None:
    owner.execute("SELECT create_event_partition('2026-09-01')")
    owner.execute("ALTER TABLE event_202609 DETACH PARTITION event_20260901")
    assert scalar(owner, "SELECT create_event_partition('2026-09-01')") is True
    assert _stored_in(owner, date(2026, 9, 1)) == "event_20260901_1"


def test_events_in_somebodys_default_partition_stay_there(migrated: Database, owner: Connection) -> None:
    owner.execute("CREATE TABLE rest PARTITION OF event DEFAULT")
    assert _stored_in(owner, _TODAY) == "rest"
    _keep(migrated)
    assert scalar(owner, "SELECT create_event_partition(%s)", _TODAY) is False
    assert scalar(owner, "SELECT max(last_day) FROM event_partition") == _TODAY + timedelta(days=3)


def test_no_partition_is_made_of_a_day_that_no_id_has(owner: Connection) -> None:
    for day in ("1969-12-31", "10000-01-01", "infinity"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="no events are stored of"):
            owner.execute("SELECT create_event_partition(%s)", [day])


def _shared(owner: Connection) -> None:
    """As by default: the last two months have day partitions."""
    owner.execute("SET clickstream.day_partition_days = 62")


def test_old_days_share_a_partition_and_twenty_years_have_few(owner: Connection) -> None:
    _shared(owner)
    for days in range(0, 20 * 365, 5):
        owner.execute("SELECT create_event_partition(%s)", [_TODAY - timedelta(days=days)])
    partitions = owner.execute("SELECT last_day - first_day + 1 FROM event_partition").fetchall()
    assert len(partitions) < 100
    for days in (0, 1, 100, 1000, 5000):
        day = _TODAY - timedelta(days=days)
        assert scalar(owner, "SELECT create_event_partition(%s)", day) is (days == 1)
        lasts = 1 if days < 62 else 31 if days < 1100 else 366
        found = owner.execute(
            "SELECT count(*), max(last_day - first_day + 1) FROM event_partition "
            "WHERE %s BETWEEN first_day AND last_day",
            [day],
        ).fetchone()
        assert found is not None
        assert found[0] == 1
        assert found[1] <= lasts


def test_a_shared_partition_goes_when_its_last_day_has_expired_and_all_its_days_are_remembered(
    migrated: Database, owner: Connection
) -> None:
    _shared(owner)
    owner.execute("SELECT create_event_partition(%s)", [_TODAY - timedelta(days=400)])
    owner.execute("SELECT create_event_partition('2011-05-05')")
    owner.execute("SELECT create_event_partition(%s)", [_TODAY - timedelta(days=5)])
    _keep(migrated)
    assert scalar(owner, "SELECT min(first_day) FROM event_partition") == _TODAY - timedelta(days=5)
    assert scalar(owner, "SELECT count(*) FROM expired_day WHERE day BETWEEN '2011-01-01' AND '2011-12-31'") == 365
    assert scalar(owner, "SELECT count(*) >= 28 FROM expired_day WHERE day > '2012-01-01'") is True


def test_the_parent_of_a_month_goes_with_its_last_day(owner: Connection) -> None:
    for day in ("2026-03-01", "2026-03-02"):
        owner.execute("SELECT create_event_partition(%s)", [day])
    assert scalar(owner, "SELECT drop_event_partition('2026-03-01')") is True
    assert scalar(owner, "SELECT to_regclass('event_202603') IS NOT NULL") is True
    assert scalar(owner, "SELECT drop_event_partition('2026-03-02')") is True
    assert scalar(owner, "SELECT to_regclass('event_202603') IS NULL") is True
    assert scalar(owner, "SELECT create_event_partition('2026-03-02')") is True


def test_days_that_share_a_partition_with_young_ones_are_not_dropped(owner: Connection) -> None:
    bounds = [first_id(_TODAY - timedelta(days=days)) for days in (9, -1)]
    owner.execute(
        f"CREATE TABLE event_{_TODAY - timedelta(days=9):%Y%m%d} PARTITION OF event "
        f"FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')".encode()
    )
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="share a partition with days too young"):
        owner.execute("SELECT drop_event_partition(%s)", [_TODAY - timedelta(days=5)])


def test_what_was_a_month_s_partition_keeps_all_of_that_month(owner: Connection) -> None:
    _shared(owner)
    owner.execute("SELECT create_event_partition('2024-05-20')")
    owner.execute("SET clickstream.day_partition_days = 20000")
    assert scalar(owner, "SELECT create_event_partition('2024-05-21')") is False
    assert _stored_in(owner, date(2024, 5, 31)) == "event_202405"
    assert scalar(owner, "SELECT create_event_partition('2024-06-01')") is True
    assert _stored_in(owner, date(2024, 6, 1)) == "event_20240601"


def test_what_somebodys_partition_cuts_in_two_is_dropped_one_by_one(owner: Connection) -> None:
    """Both pieces of the year have a part of the day at which it was cut."""
    _shared(owner)
    low, high = (uuid7.lower_bound(uuid7.unix_ms(first_id(date(2021, 3, 10))) + hour * 3_600_000) for hour in (10, 11))
    owner.execute(f"CREATE TABLE own PARTITION OF event FOR VALUES FROM ('{low}') TO ('{high}')".encode())
    owner.execute("SELECT create_event_partition('2021-03-10')")
    listed = "SELECT first_day, last_day FROM event_partition ORDER BY 1"
    cut = date(2021, 3, 10)
    assert owner.execute(listed).fetchall() == [(date(2021, 1, 1), cut), (cut, date(2021, 12, 31))]
    assert scalar(owner, "SELECT drop_event_partition('2021-03-10')") is True
    assert owner.execute(listed).fetchall() == [(cut, date(2021, 12, 31))]
    assert scalar(owner, "SELECT max(day) FROM expired_day") == date(2021, 3, 9)
    assert scalar(owner, "SELECT drop_event_partition('2021-12-31')") is True
    assert scalar(owner, "SELECT count(*) FROM expired_day") == 365


def test_a_day_of_the_last_two_months_never_shares_a_partition(owner: Connection) -> None:
    _shared(owner)
    for days in (92, 75, 62, 61, 40):
        owner.execute("SELECT create_event_partition(%s)", [_TODAY - timedelta(days=days)])
    shared = "SELECT count(*) FROM event_partition WHERE last_day > first_day AND last_day >= %s"
    assert scalar(owner, shared, _TODAY - timedelta(days=61)) == 0
