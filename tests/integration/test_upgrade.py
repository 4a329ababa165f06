"""From version to version: an upgraded database is as a fresh one, nobody's views are lost, and back is possible."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services import __version__
from services.common.errors import UserError
from services.common.postgres import Connection, connect
from services.migrate import history, repeatable, schema
from services.migrate.repeatable import Repeatable
from services.migrate.schema import Schema
from services.migrate.versioned import Migration
from tests.conftest import Database, fresh_database
from tests.integration.pipeline import migrate, scalar, settings_of
from tests.integration.test_history import BY_COUNTRY, TYPE_DAY, TYPE_DAY_TABLE

# All that a schema is: relations, columns, constraints, indexes, views, functions, comments, rights.
CATALOGUE = """
SELECT 'column', a.attrelid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
    coalesce(a.attcollation::regcollation::text, ''), coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace IN ('clickstream'::regnamespace, 'reporting'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
    AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'relation', c.oid::regclass::text, c.relkind::text,
    array(SELECT i::text FROM unnest(c.relacl) AS i ORDER BY 1)::text,
    coalesce(obj_description(c.oid, 'pg_class'), ''),
    CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) WHEN 'i' THEN pg_get_indexdef(c.oid) ELSE '' END, ''
FROM pg_class AS c
WHERE c.relnamespace IN ('clickstream'::regnamespace, 'reporting'::regnamespace) AND c.relkind <> 'I'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid), '', '', '', ''
FROM pg_constraint
WHERE connamespace = 'clickstream'::regnamespace
UNION ALL
SELECT 'function', oid::regprocedure::text, pg_get_functiondef(oid),
    array(SELECT i::text FROM unnest(proacl) AS i ORDER BY 1)::text, '', '', ''
FROM pg_proc
WHERE pronamespace IN ('clickstream'::regnamespace, 'reporting'::regnamespace)
UNION ALL
SELECT 'object', kind, name, '', '', '', ''
FROM clickstream.schema_object
ORDER BY 1, 2, 3
"""
# A version before this one: some files lack, others say something else.
_LACKING = ("0013_create_element.sql", "0015_create_revenue.sql")
_LACKING_VIEWS = ("rollups/element_hour.sql", "rollups/revenue_hour.sql")
_OLD_VIEW = Repeatable(
    "old.sql", "CREATE OR REPLACE VIEW reporting.old AS SELECT hour, views FROM reporting.page_hour;"
)


@pytest.fixture
def owner(database: Database) -> Iterator[Connection]:
    migrate(database)
    with connect(settings_of(database), "tests", autocommit=True) as connection:
        yield connection


def catalogue(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(CATALOGUE.encode()).fetchall()


def _older() -> Schema:
    """Without two rollups, with a view that was given up since, and with two views of other columns."""
    now = schema.read()
    page, session = (
        next(file for file in now.repeatables if file.name == name)
        for name in ("rollups/page_hour.sql", "session_halves.sql")
    )
    older = Schema(
        [migration for migration in now.migrations if migration.name not in _LACKING],
        [file for file in now.repeatables if file.name not in _LACKING_VIEWS],
    )
    return older.extended(
        _OLD_VIEW,
        Repeatable(page.name, page.sql.replace("count(*) AS events", "count(*) + 0 AS events")),
        Repeatable(session.name, "CREATE OR REPLACE VIEW reporting.session_tail AS SELECT session_id FROM session;"),
    )


def test_an_upgraded_database_is_as_a_fresh_one(database: Database, owner: Connection) -> None:
    fresh = catalogue(owner)
    with fresh_database(replace(database, dbname="postgres")) as other:
        migrate(other, _older())
        with connect(settings_of(other), "tests", autocommit=True) as upgraded:
            assert catalogue(upgraded) != fresh
            assert schema.apply(upgraded, schema.read()) == list(_LACKING)
            assert catalogue(upgraded) == fresh


@pytest.mark.parametrize("more", [TYPE_DAY, BY_COUNTRY], ids=["a new rollup", "another key column"])
def test_so_is_one_that_goes_on_to_the_next_version(
    database: Database, owner: Connection, more: tuple[Migration, Repeatable]
) -> None:
    following = schema.read().extended(*more)
    schema.apply(owner, following)
    with fresh_database(replace(database, dbname="postgres")) as other:
        migrate(other, following)
        with connect(settings_of(other), "tests", autocommit=True) as fresh:
            assert catalogue(fresh) == catalogue(owner)


def test_what_is_as_it_was_is_not_touched(owner: Connection) -> None:
    """A view that is replaced waits for whoever reads it, and so does everybody behind."""
    with owner.transaction():
        assert schema.apply(owner, schema.read()) == []
        held = scalar(
            owner,
            "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation "
            "WHERE l.pid = pg_backend_pid() AND c.relkind = 'v' AND l.mode = 'AccessExclusiveLock'",
        )
    assert held == 0


def test_a_view_of_somebody_s_own_survives_an_upgrade_that_adds_columns(owner: Connection) -> None:
    owner.execute("CREATE VIEW public.mine AS SELECT page_path, views FROM reporting.page_hour")
    wider = Repeatable(
        "session_halves.sql",
        "CREATE OR REPLACE VIEW reporting.session_tail AS SELECT *, 1 AS n FROM session_merged;\n"
        "CREATE OR REPLACE VIEW reporting.session_settled AS SELECT *, 1 AS n FROM session;",
    )
    schema.apply(owner, schema.read().extended(*TYPE_DAY, wider))
    assert owner.execute("SELECT * FROM public.mine").fetchall() == []


def test_a_view_of_somebody_s_own_that_stands_in_the_way_is_named_and_nothing_is_changed(owner: Connection) -> None:
    owner.execute("CREATE VIEW public.mine AS SELECT page_path, element FROM reporting.element_hour")
    before = catalogue(owner)
    with pytest.raises(
        UserError, match=r"view public\.mine depends on view reporting\.element_hour.*: drop what is not of this"
    ):
        schema.apply(owner, schema.read().extended(*BY_COUNTRY))
    assert catalogue(owner) == before
    owner.execute("DROP VIEW public.mine")
    assert schema.apply(owner, schema.read().extended(*BY_COUNTRY)) == [BY_COUNTRY[0].name]


def test_an_older_version_works_on_a_newer_database_that_says_so_and_leaves_it_alone(owner: Connection) -> None:
    newer = schema.read().extended(*BY_COUNTRY)
    schema.apply(owner, newer)
    before = catalogue(owner)
    assert schema.missing(owner, schema.read()) == []
    assert schema.apply(owner, schema.read()) == []
    assert catalogue(owner) == before
    assert history.unfilled(owner) == []
    assert schema.apply(owner, newer) == []


def test_an_older_version_that_does_not_work_with_a_newer_database_says_which_does(owner: Connection) -> None:
    newer = replace(TYPE_DAY_TABLE, works_with="7.1.0")
    schema.apply(owner, schema.read().extended(newer))
    for call in (schema.missing, schema.apply):
        with pytest.raises(
            UserError,
            match=rf"has migration {newer.name}, which works with version 7\.1\.0 and later, and this is {__version__}",
        ):
            call(owner, schema.read())


def test_a_version_without_a_migration_that_a_newer_database_lacks_is_refused(owner: Connection) -> None:
    schema.apply(owner, schema.read().extended(*TYPE_DAY))
    other_line = schema.read().extended(Migration("8000_create_other.sql", "CREATE TABLE other (n integer);"))
    with pytest.raises(UserError, match=r"does not know, and lacks 8000_create_other\.sql: it is of another line"):
        schema.apply(owner, other_line)


def test_a_twin_that_is_not_changed_with_its_rollup_is_refused(owner: Connection) -> None:
    half = Migration("9002_add_n.sql", "ALTER TABLE page_hour ADD COLUMN n bigint NOT NULL DEFAULT 0;")
    with pytest.raises(UserError, match=r"page_day is a twin of page_hour, and they differ in n: a migration must"):
        schema.apply(owner, schema.read().extended(half))


def test_a_twin_that_is_new_has_the_sums_of_what_is_there(owner: Connection) -> None:
    owner.execute(
        "INSERT INTO geography_hour VALUES ('2020-03-01 10:00Z', 's', 'NL', '', 3, 2, 1), "
        "('2020-03-01 23:00Z', 's', 'NL', '', 1, 0, 0), ('2020-03-02 00:00Z', 's', 'NL', '', 5, 0, 0)"
    )
    twin = Migration("9003_twin.sql", "COMMENT ON TABLE geography_hour IS 'twins: day, week';")
    schema.apply(owner, schema.read().extended(twin))
    days = owner.execute("SELECT day::text, country, events, page_views, purchases FROM geography_day ORDER BY 1")
    assert days.fetchall() == [("2020-03-01", "NL", 4, 2, 1), ("2020-03-02", "NL", 5, 0, 0)]
    weeks = owner.execute("SELECT week::text, events FROM reporting.geography_week ORDER BY 1").fetchall()
    assert weeks == [("2020-02-24", 4), ("2020-03-02", 5)]
    since, until = "2020-03-01 00:00Z", "2020-03-02 23:00Z"
    assert scalar(owner, "SELECT sum(events) FROM reporting.geography_between(%s, %s)", since, until) == 9


def test_a_file_that_can_not_be_repeated_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "page.sql").write_text("CREATE TABLE page (n integer);\n")
    with pytest.raises(UserError, match=r"page\.sql: `CREATE TABLE page \(n integer\);` can't be repeated"):
        repeatable.read(tmp_path)
