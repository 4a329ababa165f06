"""Locks on small empty tables of ours: one for each thing that only one session may do at a time.

An advisory lock is anybody's who may log in; LOCK TABLE needs rights on the table. It takes neither a snapshot nor a
transaction id, so a transaction that holds one for hours does not hold vacuum back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

from psycopg import errors

from services.common.postgres import Connection, connect_or_fail
from services.common.settings import PostgresSettings

PASSES: LiteralString = "clickstream.pass_lock"
REBUILD: LiteralString = "clickstream.rebuild_lock"
MIGRATE: LiteralString = "clickstream.schema_migration"

# A server may end sessions that sit in a transaction; settings that it does not know are not there.
_NO_TIME_LIMITS: LiteralString = """
SELECT set_config(name, '0', false)
FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')
"""
_HOLDERS: LiteralString = """
SELECT string_agg(
    CASE
        WHEN a.pid IS NULL THEN 'a prepared transaction'
        ELSE format('process %%s of %%s, application "%%s"', a.pid, a.usename, a.application_name)
    END, '; ')
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.relation = to_regclass(%s) AND l.granted AND l.mode <> 'AccessShareLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.pid IS DISTINCT FROM pg_backend_pid()
"""


class TakenError(Exception):
    """Another session holds the lock; the message says which."""


def take(connection: Connection, lock: LiteralString, seconds: float) -> None:
    """Lock until the caller's transaction ends; as its first statement, so that its snapshot is of after the wait.

    Raises:
        TakenError: it was not free within `seconds`.
    """
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = {int(seconds * 1000)}".encode())
            connection.execute(f"LOCK TABLE {lock} IN EXCLUSIVE MODE".encode())
            connection.execute("SET LOCAL lock_timeout = DEFAULT")
    except errors.LockNotAvailable:
        raise TakenError(f"{lock} is locked by {holder(connection, lock) or 'a session that is gone by now'}") from None


def holder(connection: Connection, lock: LiteralString) -> str | None:
    """Who else holds a lock now."""
    row = connection.execute(_HOLDERS, [lock]).fetchone()
    return row[0] if row else None


@contextmanager
def guard(settings: PostgresSettings, application_name: str) -> Iterator[Connection]:
    """A session in a transaction: what is taken in it is held to the block's end, over others' transactions.

    Raises:
        UserError: as `connect_or_fail`.
    """
    with connect_or_fail(settings, application_name, autocommit=True) as connection:
        connection.execute(_NO_TIME_LIMITS)
        with connection.transaction():
            yield connection
