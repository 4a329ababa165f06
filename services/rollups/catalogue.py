"""What a rollup is, read from the catalogue: a table of schema `clickstream` with a view `<table>_pending` beside it.

The view computes what the batches not yet rolled up add to the table. From the two follow, here and nowhere else,
the aggregator's upsert and the text of the live view (rollup and tail together) that dashboards read.

A value column merges by summing unless its comment says otherwise: `merge: least`, `merge: greatest`, `merge: or`,
`merge: first by (a, b)` or `merge: last by (a, b)`, with the ordering columns named. A table without value columns is
a set. The table's comment may say `twins: day, week`, for coarser ones to be generated from it, and
`retention: 90 days`, after which rows are dropped unless ROLLUP_RETENTION_DAYS says otherwise.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, LiteralString, NamedTuple

import psycopg

from services.common.errors import UserError

GRAINS = ("minute", "hour", "day", "week")
_MERGE = re.compile(r"merge: (?:(least|greatest|or)|(first|last) by (\(\w+(?:, \w+)*\)))(?:(?: \(|;).*)?")
_RULE = re.compile(r"\s*\w+\s*:")  # a comment that begins like a rule, rightly spelt or not
_SUMMABLE = (
    "bigint",
    "integer",
    "smallint",
    "numeric",
    "double precision",
    "real",
    "interval",
)  # what `sum` adds up to the same type again
_TWINS = re.compile(r"twins: (\w+(?:, \w+)*)")
_RETENTION = re.compile(r"retention: (\d+) days")


class Declaration(NamedTuple):
    """What the comment of a rollup's table says: the grains of its twins, and how many days its rows are kept."""

    twins: tuple[str, ...] = ()
    retention_days: int | None = None


@dataclass(frozen=True)
class Rollup:
    """One rollup: its key columns and how each value column merges ("sum" or the rule of its comment).

    `time` is its first column that is a time or a day: what a row is of. Its `twins` are the grains of coarser ones
    that are generated from it; older rows than `retention_days` are dropped.
    """

    name: str
    keys: tuple[str, ...]
    merges: Mapping[str, str]
    time: str
    twins: tuple[str, ...] = ()
    retention_days: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Keys first, then values."""
        return (*self.keys, *self.merges)

    @property
    def additive(self) -> bool:
        """Every value sums, so rollup and tail may stand side by side in the live view."""
        return set(self.merges.values()) == {"sum"}

    def upsert(self) -> str:
        """SQL that adds what is pending to the table."""
        columns = ", ".join(self.columns)
        sets = ", ".join(f"{column} = {self._merged(column, 't', 'excluded')}" for column in self.merges)
        action = f"UPDATE SET {sets}" if sets else "NOTHING"
        return (
            f"INSERT INTO {self.name} AS t ({columns}) SELECT {columns} FROM {self.name}_pending "
            f"ON CONFLICT ({', '.join(self.keys)}) DO {action}"
        )

    def merged_view(self) -> str:
        """The pending rows as they will be once merged into the table's.

        Each looks its row up: OFFSET 0 keeps the planner, which takes the tail for longer than it is, from reading the
        whole table instead.
        """
        keys = [f"p.{key}" for key in self.keys]
        values = [f"{self._merged(column, 's', 'p')} AS {column}" for column in self.merges]
        same_key = " AND ".join(f"s.{key} = p.{key}" for key in self.keys)
        return (
            f"SELECT {', '.join([*keys, *values])} FROM {self.name}_pending AS p "
            f"LEFT JOIN LATERAL (SELECT s.* FROM {self.name} AS s WHERE {same_key} OFFSET 0) AS s ON true"
        )

    @property
    def tail(self) -> str:
        """The view of what stands beside the table's rows in the live view, or in the place of some."""
        return f"{self.name}_pending" if self.additive or not self.merges else f"{self.name}_merged"

    def live_view(self) -> str:
        """Rollup and tail as one relation, exact at every instant.

        Of an additive rollup a key may come twice: every query sums. That way the planner groups once and pushes a
        time filter to the table.
        """
        columns, tail = ", ".join(self.columns), f"reporting.{self.name}_tail()"
        if not self.merges:
            return f"SELECT {columns} FROM {self.name} UNION SELECT {columns} FROM {tail}"
        if self.additive:
            return f"SELECT {columns} FROM {self.name} UNION ALL SELECT {columns} FROM {tail}"
        same_key = " AND ".join(f"p.{key} = s.{key}" for key in self.keys)
        return (
            f"SELECT {columns} FROM {self.name} AS s WHERE NOT EXISTS (SELECT FROM {tail} AS p WHERE {same_key}) "
            f"UNION ALL SELECT {columns} FROM {tail}"
        )

    def _merged(self, column: str, old: str, new: str) -> str:
        """One column's value after a merge; `old` may be the nulls of an outer join."""
        rule = self.merges[column]
        if rule == "sum":
            return f"coalesce({old}.{column}, 0) + {new}.{column}"
        if rule == "or":
            return f"coalesce({old}.{column}, false) OR {new}.{column}"
        if rule in ("least", "greatest"):
            return f"{rule}({old}.{column}, {new}.{column})"
        end, _, order = rule.partition(" by ")
        old_key, new_key = (re.sub(r"(\w+)", rf"{side}.\1", order) for side in (old, new))
        wins = f"{new_key} {'<' if end == 'first' else '>'} {old_key}"
        return f"CASE WHEN {old}.{self.keys[0]} IS NULL OR {wins} THEN {new}.{column} ELSE {old}.{column} END"


_ROLLUPS: LiteralString = """
SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), ''), a.attname, a.attnum = ANY (i.indkey),
    format_type(a.atttypid, NULL), coalesce(col_description(c.oid, a.attnum), '')
FROM pg_class AS c
JOIN pg_class AS p ON p.relnamespace = c.relnamespace AND p.relname = c.relname || '_pending' AND p.relkind = 'v'
JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'clickstream'::regnamespace AND c.relkind = 'r'
ORDER BY c.relname, a.attnum
"""


def rollups(connection: psycopg.Connection[Any]) -> list[Rollup]:
    """All rollups of the database, by name.

    Raises:
        UserError: one has no time, or a comment says what can't be.
    """
    tables: dict[tuple[str, str], list[_Column]] = {}
    for table, comment, *column in connection.execute(_ROLLUPS):
        tables.setdefault((table, comment), []).append(_Column(*column))
    return [_rollup(table, comment, columns) for (table, comment), columns in tables.items()]


class _Column(NamedTuple):
    name: str
    is_key: bool
    type: str
    comment: str


def _rollup(table: str, comment: str, columns: list[_Column]) -> Rollup:
    merges = {column.name: _merge_rule(table, column) for column in columns if not column.is_key}
    time = next((column.name for column in columns if column.type in ("timestamp with time zone", "date")), None)
    if time is None:
        raise UserError(f"rollup {table} has no column of type timestamptz or date: give it one, or rename its view")
    keys = tuple(column.name for column in columns if column.is_key)
    rollup = Rollup(table, keys, merges, time, *declaration(table, comment))
    if rollup.retention_days is not None:
        require_droppable(rollup)
    return rollup


def declaration(table: str, comment: str) -> Declaration:
    """What the comment of a rollup's table says.

    Raises:
        UserError: it is no such comment.
    """
    twins: tuple[str, ...] = ()
    retention_days = None
    for part in filter(None, (part.strip() for part in comment.split(";"))):
        if named := _TWINS.fullmatch(part):
            twins = tuple(named[1].split(", "))
        elif days := _RETENTION.fullmatch(part):
            retention_days = int(days[1])
        else:
            raise UserError(
                f"rollup {table}: its comment says `{part}`: it may say `twins: day, week` and `retention: 90 days`, "
                "with a semicolon between them"
            )
    return Declaration(twins, retention_days)


def require_droppable(rollup: Rollup) -> None:
    """Refuse to drop old rows of a rollup that needs them to merge late events.

    Raises:
        UserError: it does.
    """
    if not rollup.additive or not rollup.merges:
        raise UserError(f"rollup {rollup.name} can't have a retention: what comes late merges into rows however old")


def _merge_rule(table: str, column: _Column) -> str:
    rule = _MERGE.fullmatch(column.comment)
    if rule:
        return rule[1] or f"{rule[2]} by {rule[3]}"
    if _RULE.match(column.comment):
        raise UserError(
            f"rollup {table}: the comment of {column.name} says `{column.comment}`: a rule is `merge: least`, "
            "`merge: greatest`, `merge: or`, `merge: first by (a, b)` or `merge: last by (a, b)`; without one it sums"
        )
    if column.type not in _SUMMABLE:
        raise UserError(
            f"rollup {table}: {column.name} is {column.type}, which does not sum: say how it merges in its comment, as "
            "in `merge: first by (started_at, entry_event_id)`"
        )
    return "sum"


@dataclass(frozen=True)
class View:
    """A view of the tail: its text in bare names, which views it reads, and whether it reads table `event` itself.

    `readers` is how many other views read it.
    """

    name: str
    text: str
    reads: tuple[str, ...]
    reads_event: bool
    readers: int


_VIEWS: LiteralString = """
SELECT v.relname, pg_get_viewdef(v.oid),
    array(
        SELECT DISTINCT d.refobjid::regclass::text
        FROM pg_rewrite AS r
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid
        JOIN pg_class AS u ON u.oid = d.refobjid AND u.relkind = 'v' AND u.relnamespace = v.relnamespace
        WHERE r.ev_class = v.oid
    ),
    EXISTS (
        SELECT
        FROM pg_rewrite AS r
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = 'clickstream.event'::regclass
        WHERE r.ev_class = v.oid
    )
FROM pg_class AS v
WHERE v.relnamespace = 'clickstream'::regnamespace AND v.relkind = 'v'
"""


def tail_views(connection: psycopg.Connection[Any]) -> list[View]:
    """The views that lead from the ledger to each rollup's pending rows, each after those it reads.

    The connection's search_path must be `clickstream`: then PostgreSQL prints a view's text in bare names, and the
    same text can be bound to other tables of these names (a pass's temporary ones, a rebuild's).
    """
    found = {row[0]: row for row in connection.execute(_VIEWS)}
    reads: dict[str, list[str]] = {name: sources for name, _, sources, _ in found.values()}
    readers = Counter(source for sources in reads.values() for source in sources)
    order = TopologicalSorter(reads).static_order()
    feeds_rollup = _upstream(reads, [name for name in reads if name.endswith(("_pending", "_merged"))])
    return [
        View(name, text.rstrip(";"), tuple(sources), reads_event, readers[name])
        for name, text, sources, reads_event in (found[name] for name in order if name in feeds_rollup)
    ]


def tail_of(name: str, views: list[View]) -> list[View]:
    """A view of the tail and those that it reads, directly or not, each after those it reads."""
    wanted = _upstream({view.name: view.reads for view in views}, [name])
    return [view for view in views if view.name in wanted]


def _upstream(reads: Mapping[str, Sequence[str]], names: list[str]) -> set[str]:
    """These views and all that they read, directly or not."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            names.extend(reads[name])
    return found


_DEFINITIONS = """
WITH RECURSIVE rewrite AS (
    SELECT r.ev_class AS view, d.refclassid, d.refobjid
    FROM pg_rewrite AS r
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid <> r.ev_class
    WHERE d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
),
reads (rollup, classid, objid) AS (
    SELECT c.relname, 'pg_class'::regclass::oid, v.oid
    FROM pg_class AS c
    JOIN pg_class AS v ON v.relnamespace = c.relnamespace AND v.relname = c.relname || '_pending' AND v.relkind = 'v'
    WHERE c.relnamespace = 'clickstream'::regnamespace AND c.relkind = 'r'
    UNION
    SELECT s.rollup, d.refclassid, d.refobjid
    FROM reads AS s
    CROSS JOIN LATERAL (
        SELECT w.refclassid, w.refobjid
        FROM rewrite AS w
        WHERE s.classid = 'pg_class'::regclass AND w.view = s.objid
        UNION ALL
        SELECT f.refclassid, f.refobjid
        FROM pg_depend AS f
        WHERE s.classid = 'pg_proc'::regclass AND f.classid = s.classid AND f.objid = s.objid
            AND f.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
    ) AS d
),
text (rollup, text) AS (
    SELECT s.rollup, v.relname || ' ' || pg_get_viewdef(v.oid)
    FROM reads AS s
    JOIN pg_class AS v ON s.classid = 'pg_class'::regclass AND v.oid = s.objid AND v.relkind = 'v'
        AND v.relnamespace = 'clickstream'::regnamespace
    UNION ALL
    SELECT s.rollup, pg_get_functiondef(f.oid)
    FROM reads AS s
    JOIN pg_proc AS f ON s.classid = 'pg_proc'::regclass AND f.oid = s.objid
        AND f.pronamespace = 'clickstream'::regnamespace
    UNION ALL
    SELECT s.rollup, g.goal
    FROM reads AS s
    CROSS JOIN ({goals}) AS g (goal)
    WHERE s.classid = 'pg_class'::regclass AND s.objid = to_regclass('clickstream.goal')
    UNION ALL
    SELECT c.relname, a.attname || ' ' || col_description(c.oid, a.attnum)
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'clickstream'::regnamespace AND c.relkind = 'r'
)
SELECT s.rollup, (SELECT array_agg(t.text ORDER BY t.text) FROM text AS t WHERE t.rollup = s.rollup)
FROM (SELECT DISTINCT rollup FROM reads) AS s
"""


def definitions(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """All that says what each rollup counts: the views and functions that lead to it, goals, and how columns merge."""
    has_goals = connection.execute("SELECT to_regclass('clickstream.goal') IS NOT NULL").fetchone() == (True,)
    goals = "SELECT g::text FROM clickstream.goal AS g" if has_goals else "SELECT NULL LIMIT 0"
    return dict(connection.execute(_DEFINITIONS.format(goals=goals).encode()).fetchall())
