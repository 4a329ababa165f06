"""Repeatable migrations: functions and views, made anew whenever a version brings another text of any of them.

Each file makes some; files come after those whose functions and views they name. What is generated from the catalogue
(twins, live views, functions of a time range) is made as soon as what it stands on is there.
"""

import hashlib
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from services.common.errors import UserError
from services.common.postgres import Connection, primary
from services.migrate import twins
from services.rollups import catalogue, live_views, range_functions

_OBJECT = re.compile(r"^CREATE OR REPLACE (VIEW|FUNCTION) ([\w.]+)", re.MULTILINE)
_CREATE = re.compile(r"^CREATE (?!OR REPLACE (?:VIEW|FUNCTION)\b).*", re.MULTILINE)
_COMMENT = re.compile(r"--.*")
_WORD = re.compile(r"[\w.]+")
_GENERATORS = (live_views, range_functions, catalogue, twins)
_RECORDED: LiteralString = "SELECT checksum FROM clickstream.schema_repeatable"
_RECORD: LiteralString = """
WITH gone AS (DELETE FROM clickstream.schema_repeatable)
INSERT INTO clickstream.schema_repeatable (checksum) VALUES (%s)
"""
# In the way of a change: views, and functions that read relations, as their bodies are bound to these.
_BOUND: LiteralString = """
SELECT o.kind, o.name
FROM clickstream.schema_object AS o
WHERE (o.kind = 'VIEW' AND to_regclass(o.name) IS NOT NULL)
    OR EXISTS (
        SELECT
        FROM pg_depend AS d
        WHERE o.kind = 'FUNCTION' AND d.classid = 'pg_proc'::regclass AND d.objid = to_regproc(o.name)
            AND d.refclassid = 'pg_class'::regclass
    )
"""
_STALE: LiteralString = """
DELETE FROM clickstream.schema_object AS o
WHERE NOT EXISTS (
    SELECT FROM unnest(%s::text[], %s::text[]) AS m (kind, name) WHERE m.kind = o.kind AND m.name = o.name
)
RETURNING o.kind, o.name
"""
_MADE: LiteralString = """
INSERT INTO clickstream.schema_object (kind, name) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, order=True)
class Object:
    """A view or a function that a migration makes; no two functions have the same name."""

    kind: str
    name: str


@dataclass(frozen=True)
class Repeatable:
    """One file: its path below the folder, and its text."""

    name: str
    sql: str

    @property
    def objects(self) -> list[Object]:
        """What it makes."""
        return [Object(kind, _qualified(name)) for kind, name in _OBJECT.findall(self.sql)]

    @property
    def words(self) -> set[str]:
        """The names that it may use."""
        return {_qualified(word) for word in _WORD.findall(_COMMENT.sub("", self.sql))}


def read(folder: Path) -> list[Repeatable]:
    """The files of a folder and of those in it.

    Raises:
        UserError: one makes something else than functions and views.
    """
    found = [Repeatable(str(file.relative_to(folder)), file.read_text()) for file in sorted(folder.glob("**/*.sql"))]
    for repeatable in found:
        if other := _CREATE.search(repeatable.sql):
            raise UserError(
                f"{repeatable.name}: `{other[0].rstrip()}` can't be repeated: here stand CREATE OR REPLACE VIEW and "
                "CREATE OR REPLACE FUNCTION; tables and indexes are made by versioned migrations"
            )
    return found


def checksum(repeatables: Iterable[Repeatable]) -> str:
    """SHA-256 of all texts and of the code that generates the rest."""
    digest = hashlib.sha256()
    for repeatable in repeatables:
        digest.update(f"{repeatable.name}\0{repeatable.sql}\0".encode())
    for module in _GENERATORS:
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


def is_current(connection: Connection, repeatables: Iterable[Repeatable]) -> bool:
    """Whether the database has just these."""
    return connection.execute(_RECORDED).fetchone() == (checksum(repeatables),)


def create(connection: Connection, repeatables: list[Repeatable]) -> None:
    """Make all of them, and drop what earlier versions made and this one does not, in the caller's transaction.

    Raises:
        UserError: one fails.
    """
    made: list[Object] = []
    for repeatable in in_order(repeatables):
        _execute(connection, repeatable)
        made += repeatable.objects
        pending = {item.name.removesuffix("_pending") for item in repeatable.objects if item.kind == "VIEW"}
        for rollup in catalogue.rollups(connection):
            if _qualified(rollup.name) in pending:
                made += [Object(kind, _qualified(name)) for kind, name in _stand_on(connection, rollup)]
    made += [Object(kind, name) for kind, name in range_functions.create_range_functions(connection)]
    kinds, names = [item.kind for item in made], [item.name for item in made]
    for kind, name in connection.execute(_STALE, [kinds, names]).fetchall():
        connection.execute(_drop(kind, name))
    connection.execute(_MADE, [kinds, names])
    connection.execute(_RECORD, [checksum(repeatables)])


def _stand_on(connection: Connection, rollup: catalogue.Rollup) -> Iterable[tuple[str, str]]:
    """What is generated from a rollup: its live view, and its twins with theirs."""
    yield from live_views.create_live_view(connection, rollup)
    for twin in twins.create_views(connection, rollup):
        yield "VIEW", f"{twin.name}_pending"
        yield from live_views.create_live_view(connection, twin)


def in_order(repeatables: list[Repeatable]) -> list[Repeatable]:
    """Each after those whose functions and views it names.

    Raises:
        UserError: some need each other.
    """
    maker = {item.name: repeatable for repeatable in repeatables for item in repeatable.objects}
    for name, repeatable in list(maker.items()):  # generated as soon as their view is there
        if name.endswith("_pending"):
            rollup = name.removesuffix("_pending")
            live = rollup.replace("clickstream.", "reporting.")
            maker |= dict.fromkeys([f"{rollup}_merged", live, f"{live}_tail"], repeatable)
    needs = {
        repeatable: {maker[word] for word in repeatable.words & maker.keys()} - {repeatable}
        for repeatable in repeatables
    }
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UserError(f"these need each other: {', '.join(file.name for file in error.args[1][1:])}") from None


def drop_bound(connection: Connection) -> None:
    """Drop what is in the way of a change of what it reads, in the caller's transaction; `create` makes it again.

    Raises:
        UserError: somebody's own view or function stands on it.
    """
    left = connection.execute(_BOUND).fetchall()
    while left:
        held: list[tuple[str, str]] = []
        problem = ""
        for kind, name in left:
            try:
                with connection.transaction():
                    connection.execute(_drop(kind, name))
            except psycopg.errors.DependentObjectsStillExist as error:
                held.append((kind, name))
                problem = f"{primary(error)}: {error.diag.message_detail}"
        if len(held) == len(left):
            raise UserError(f"{problem}: drop what is not of this project, migrate, and make it again")
        left = held


def _drop(kind: str, name: str) -> sql.Composed:
    return sql.SQL("DROP {} {}").format(
        sql.SQL("VIEW" if kind == "VIEW" else "FUNCTION"), sql.Identifier(*name.split("."))
    )


def _execute(connection: Connection, repeatable: Repeatable) -> None:
    try:
        connection.execute(repeatable.sql.encode())
    except psycopg.errors.InvalidTableDefinition:
        raise  # a view has other columns: it must be dropped first
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(f"{repeatable.name}: {error}; run it as the owner of the database") from None
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
        raise UserError(f"{repeatable.name}: {error}") from None


def _qualified(name: str) -> str:
    return name if "." in name else f"clickstream.{name}"
