"""Versioned migrations: numbered SQL files with tables and indexes, applied once each, with their checksums recorded.

Each names the oldest version of the services that works on the database once it is applied, so that the pods of an
older release start beside a newer schema, as after `helm rollback`.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from services import __version__
from services.common import locks
from services.common.errors import UserError
from services.common.postgres import Connection, concerns_content, primary

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_WORKS_WITH = re.compile(r"^-- Works with: (\d+(?:\.\d+)*)$", re.MULTILINE)
# `works_with`: the oldest version of the services that works with it. `schema_object`: views and functions that
# migrations made. Nothing here waits for a lock, so another migration that is at work is met where that is told.
_BOOTSTRAP: LiteralString = """
CREATE SCHEMA IF NOT EXISTS clickstream;
CREATE SCHEMA IF NOT EXISTS reporting;
CREATE TABLE IF NOT EXISTS clickstream.schema_migration (
    name       text COLLATE "C" PRIMARY KEY,
    checksum   text COLLATE "C" NOT NULL,
    works_with text COLLATE "C" NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS clickstream.schema_object (
    kind text COLLATE "C",
    name text COLLATE "C",
    PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS clickstream.schema_repeatable (checksum text COLLATE "C" NOT NULL);
"""
_MADE_BY_ANOTHER = (psycopg.errors.DuplicateSchema, psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation)


@dataclass(frozen=True)
class Migration:
    """One file: its name, which begins with its number, its text, and the oldest services that work with it."""

    name: str
    sql: str
    works_with: str = __version__

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class NewerError(UserError):
    """The database is of a newer version, with which this one works."""


def read(folder: Path) -> list[Migration]:
    """The migrations of a folder, in order.

    Raises:
        UserError: a file is misnamed, two have the same number, or one does not say with what it works.
    """
    numbers: dict[str, str] = {}
    migrations = []
    for file in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise UserError(f"migration {file.name}: name it NNNN_verb_object.sql, in lower case")
        if other := numbers.get(match[1]):
            raise UserError(f"migrations {other} and {file.name} have the same number: rename the newer")
        numbers[match[1]] = file.name
        migrations.append(_migration(file.name, file.read_text()))
    return migrations


def _migration(name: str, text: str) -> Migration:
    works_with = _WORKS_WITH.search(text)
    if works_with is None:
        raise UserError(
            f"migration {name}: say by a line `-- Works with: X.Y.Z` which is the oldest version of the services that "
            "works on the database once this is applied"
        )
    return Migration(name, text, works_with[1])


def bootstrap(connection: Connection) -> None:
    """Make the schemas and the tables of what was applied, where they lack; on an autocommit connection."""
    try:
        _make(connection)
    except _MADE_BY_ANOTHER:
        _make(connection)  # another migration did the same at this moment: now all is there


def _make(connection: Connection) -> None:
    with connection.transaction():
        connection.execute(_BOOTSTRAP)


def missing(connection: Connection, migrations: list[Migration]) -> list[str]:
    """Names of the migrations that the database still lacks.

    Raises:
        UserError: an applied migration was changed, or is of a newer version that does not work with this one.
    """
    if not has(connection, locks.MIGRATE):
        return [migration.name for migration in migrations]
    try:
        return [migration.name for migration in pending(connection, migrations)]
    except NewerError:
        return []


def has(connection: Connection, table: str) -> bool:
    """Whether the database has a table of this name."""
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)


def pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    """The migrations that are to be applied, in order.

    Raises:
        NewerError: the database is of a newer version, with which this one works.
        UserError: an applied migration was changed, or is of a newer version that does not work with this one.
    """
    try:
        rows = connection.execute("SELECT name, checksum, works_with FROM clickstream.schema_migration").fetchall()
    except psycopg.errors.UndefinedColumn:
        raise UserError(
            "the database was migrated by a checkout from before the first release: make it anew, and replay the topic "
            "or the sources into it"
        ) from None
    known = {migration.name for migration in migrations}
    newer = {name: works_with for name, _, works_with in rows if name not in known}
    for name, works_with in sorted(newer.items()):
        if _numbers(works_with) > _numbers(__version__):
            raise UserError(
                f"the database has migration {name}, which works with version {works_with} and later, and this is "
                f"{__version__}: run a newer version, or restore a backup from before that migration"
            )
    applied = {name: checksum for name, checksum, _ in rows}
    for migration in migrations:
        if migration.name in applied and applied[migration.name] != migration.checksum:
            raise UserError(
                f"migration {migration.name} was changed after it was applied: "
                "restore the file, and put the change into a new migration"
            )
    lacking = [migration for migration in migrations if migration.name not in applied]
    if newer and lacking:
        raise UserError(
            f"the database has migration {max(newer)}, which this version does not know, and lacks "
            f"{lacking[0].name}: it is of another line of versions; run the newest version"
        )
    if newer:
        raise NewerError(f"the database has migration {max(newer)}, of a newer version that works with this one")
    return lacking


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def apply_one(connection: Connection, migration: Migration) -> None:
    """One file and its record, in the caller's transaction.

    Raises:
        UserError: it fails.
    """
    try:
        connection.execute(migration.sql.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(f"migration {migration.name}: {error}; run it as the owner of the database") from None
    except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.FeatureNotSupported):
        raise  # a view stands in its way
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError) as error:
        problem = primary(error) if concerns_content(error) else error
        raise UserError(f"migration {migration.name}: {problem}") from None
    connection.execute(
        "INSERT INTO clickstream.schema_migration (name, checksum, works_with) VALUES (%s, %s, %s)",
        [migration.name, migration.checksum, migration.works_with],
    )
