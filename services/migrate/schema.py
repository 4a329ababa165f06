"""Numbered SQL files, applied once each, in order, under a lock, with their checksums recorded.

All that a database lacks is applied in one transaction: nobody ever meets a version in between.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from services.common import locks
from services.common.errors import UserError
from services.common.live_views import create_live_views
from services.common.postgres import Connection, concerns_content, primary
from services.common.range_functions import create_range_functions
from services.common.rollups import rollups

FOLDER = Path(__file__).with_name("sql")
_GRANTS = Path(__file__).with_name("grants.sql")
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_BOOTSTRAP: LiteralString = """
CREATE SCHEMA IF NOT EXISTS clickstream;
CREATE SCHEMA IF NOT EXISTS reporting;
CREATE TABLE IF NOT EXISTS clickstream.schema_migration (
    name       text COLLATE "C" PRIMARY KEY,
    checksum   text COLLATE "C" NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
_MADE_BY_ANOTHER = (psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation)
_LOCK_SECONDS = 5.0
# Where nothing was ever stored, no rollup lacks its history.
_FILLED: LiteralString = """
INSERT INTO rollup_filled (rollup)
SELECT unnest(%s::text[]) WHERE NOT EXISTS (SELECT FROM ingest_batch)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Migration:
    """One file: its name, which begins with its number, and its text."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of a folder, in order.

    Raises:
        UserError: a file is misnamed, or two have the same number.
    """
    files = sorted(folder.glob("*.sql"))
    numbers: dict[str, str] = {}
    for file in files:
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise UserError(f"migration {file.name}: name it NNNN_verb_object.sql, in lower case")
        if other := numbers.get(match[1]):
            raise UserError(f"migrations {other} and {file.name} have the same number: rename the newer")
        numbers[match[1]] = file.name
    return [Migration(file.name, file.read_text()) for file in files]


def apply(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Bring an autocommit connection's database up to date; returns the names of what was applied now.

    Raises:
        UserError: an applied migration was changed or is unknown here, or one fails.
        TakenError: another migration is at work, or a rebuild, which a change of what it counts would spoil.
    """
    try:
        _bootstrap(connection)
    except _MADE_BY_ANOTHER:
        _bootstrap(connection)  # another migration did the same at this moment: now all is there
    with connection.transaction():
        locks.take(connection, locks.MIGRATE, _LOCK_SECONDS)
        pending = _pending(connection, migrations)
        if pending and _has(connection, locks.REBUILD):
            locks.take(connection, locks.REBUILD, _LOCK_SECONDS)
        for migration in pending:
            _apply_one(connection, migration)
        create_live_views(connection)
        create_range_functions(connection)
        connection.execute(_FILLED, [[rollup.name for rollup in rollups(connection)]])
        connection.execute(_GRANTS.read_bytes())
    return [migration.name for migration in pending]


def _bootstrap(connection: Connection) -> None:
    with connection.transaction():
        connection.execute(_BOOTSTRAP)


def missing(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Names of the migrations that the database still lacks.

    Raises:
        UserError: an applied migration was changed or is unknown here.
    """
    if not _has(connection, locks.MIGRATE):
        return [migration.name for migration in migrations]
    return [migration.name for migration in _pending(connection, migrations)]


def _has(connection: Connection, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)


def _pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    applied: dict[str, str] = dict(connection.execute("SELECT name, checksum FROM clickstream.schema_migration"))
    known = {migration.name for migration in migrations}
    if unknown := sorted(set(applied) - known):
        raise UserError(
            f"the database has migration {unknown[-1]}, which this version does not know: "
            "it was migrated by a newer version; run that version, or restore a backup from before it"
        )
    for migration in migrations:
        if migration.name in applied and applied[migration.name] != migration.checksum:
            raise UserError(
                f"migration {migration.name} was changed after it was applied: "
                "restore the file, and put the change into a new migration"
            )
    return [migration for migration in migrations if migration.name not in applied]


def _apply_one(connection: Connection, migration: Migration) -> None:
    """One file, with its record and the views that the next may read."""
    try:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", [migration.name, migration.checksum]
        )
        create_live_views(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(f"migration {migration.name}: {error}; run it as the owner of the database") from None
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError) as error:
        problem = primary(error) if concerns_content(error) else error
        raise UserError(f"migration {migration.name}: {problem}") from None
