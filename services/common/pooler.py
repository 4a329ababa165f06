"""Poolers between us and the server: those in transaction mode give each transaction whichever session is free.

What a session keeps is then gone, or another's: settings, temporary tables, prepared statements.
"""

from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]


def is_between(connection: Connection) -> bool:
    """Whether another process answers than the one that let us in: a pooler makes that number up."""
    return _process(connection) != connection.info.backend_pid


def shares_sessions(one: Connection, other: Connection) -> bool:
    """Whether two idle connections don't have a process each that stays theirs.

    Also in turn they would look like it, where a pooler gives two processes out in turn: so they do not take turns.
    """
    looks = [(connection, _process(connection)) for connection in (one, other, one, one, other, other)]
    ones, others = ({process for asked, process in looks if asked is connection} for connection in (one, other))
    return (len(ones), len(others)) != (1, 1) or ones == others


def _process(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
