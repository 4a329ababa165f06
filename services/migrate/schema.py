"""The schema of a version: versioned migrations (tables), repeatable ones (functions and views), and rights.

All that a database lacks is applied in one transaction: nobody ever meets a version in between.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import LiteralString, Self

import psycopg

from services.common import locks
from services.common.errors import UserError
from services.common.postgres import Connection, primary
from services.migrate import repeatable, twins, versioned
from services.migrate.goals import Goals, are_written, write
from services.migrate.repeatable import Repeatable
from services.migrate.versioned import Migration
from services.rollups.catalogue import definitions

FOLDER = Path(__file__).with_name("sql")
_GRANTS = Path(__file__).with_name("grants.sql")
_LOCK_SECONDS = 5.0
# What PostgreSQL says when a view keeps a table, or itself, from being changed.
_IN_THE_WAY = (
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidTableDefinition,
)
_CHANGED: LiteralString = "DELETE FROM clickstream.rollup_filled WHERE rollup = ANY (%s)"
# Where nothing was ever stored, no rollup lacks its history.
_FILLED: LiteralString = """
INSERT INTO clickstream.rollup_filled (rollup)
SELECT unnest(%s::text[]) WHERE NOT EXISTS (SELECT FROM clickstream.ingest_batch)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Schema:
    """All that a version's database has."""

    migrations: list[Migration]
    repeatables: list[Repeatable]

    def extended(self, *more: Migration | Repeatable) -> Self:
        """With more files; a repeatable one takes the place of that of the same name."""
        migrations = [file for file in more if isinstance(file, Migration)]
        repeatables = {file.name: file for file in [*self.repeatables, *more] if isinstance(file, Repeatable)}
        return replace(self, migrations=[*self.migrations, *migrations], repeatables=list(repeatables.values()))


def read(folder: Path = FOLDER) -> Schema:
    """The schema of this version, or of another folder.

    Raises:
        UserError: a file of it can't be.
    """
    return Schema(versioned.read(folder / "versioned"), repeatable.read(folder / "repeatable"))


def apply(connection: Connection, schema: Schema, goals: Goals | None = None) -> list[str]:
    """Bring an autocommit connection's database up to date; returns the names of the migrations applied now.

    `goals` say which events are a conversion; without, as the database has it, and in a new one that purchases are.

    One of a newer version that works with this one is left as it is. Rollups that count something else from now on
    are to be filled anew.

    Raises:
        UserError: an applied migration was changed, is of a newer version that does not work with this one, or fails.
        TakenError: another migration is at work, or a rebuild, which a change of what it counts would spoil.
    """
    versioned.bootstrap(connection)
    with connection.transaction():
        locks.take(connection, locks.MIGRATE, _LOCK_SECONDS)
        try:
            pending = versioned.pending(connection, schema.migrations)
        except versioned.NewerError:
            return []
        if (
            pending
            or not repeatable.is_current(connection, schema.repeatables)
            or (goals is not None and not are_written(connection, goals))
        ):
            _change(connection, pending, schema.repeatables, goals)
        connection.execute(_GRANTS.read_bytes())
    return [migration.name for migration in pending]


def missing(connection: Connection, schema: Schema) -> list[str]:
    """Names of the migrations that the database still lacks.

    Raises:
        UserError: an applied migration was changed, or is of a newer version that does not work with this one.
    """
    return versioned.missing(connection, schema.migrations)


def _change(
    connection: Connection, pending: list[Migration], repeatables: list[Repeatable], goals: Goals | None
) -> None:
    is_new = not versioned.has(connection, "clickstream.goal")
    if pending and versioned.has(connection, locks.REBUILD):
        locks.take(connection, locks.REBUILD, _LOCK_SECONDS)
    before = definitions(connection)
    try:
        with connection.transaction():
            _bring_up(connection, pending, repeatables)
    except _IN_THE_WAY:
        _bring_up_anew(connection, pending, repeatables)
    if versioned.has(connection, "clickstream.goal") and (is_new or goals is not None):
        write(connection, goals or {})
    after = definitions(connection)
    if changed := [name for name, text in after.items() if before.get(name, text) != text]:
        locks.take(connection, locks.REBUILD, _LOCK_SECONDS)
        connection.execute(_CHANGED, [changed])
    connection.execute(_FILLED, [list(after)])


def _bring_up_anew(connection: Connection, pending: list[Migration], repeatables: list[Repeatable]) -> None:
    """As `_bring_up`, with all views out of the way."""
    repeatable.drop_bound(connection)
    try:
        _bring_up(connection, pending, repeatables)
    except _IN_THE_WAY as error:
        raise UserError(f"the migration fails: {primary(error)} {error.diag.message_detail or ''}".rstrip()) from None


def _bring_up(connection: Connection, pending: list[Migration], repeatables: list[Repeatable]) -> None:
    for migration in pending:
        versioned.apply_one(connection, migration)
        twins.create_tables(connection)
    repeatable.create(connection, repeatables)
