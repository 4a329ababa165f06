"""Connections to PostgreSQL, and which of its errors mean "wait", which mean "your configuration is wrong"."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from services.common.errors import UserError
from services.common.settings import PostgresSettings

Connection = psycopg.Connection[tuple[Any, ...]]

# A restart, a failover, a full disk, a time limit, a server that only reads for now: the same statement works later.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_WRONG_DATABASE = (
    errors.UndefinedTable,
    errors.UndefinedFunction,
    errors.UndefinedColumn,
    errors.InvalidSchemaName,
    errors.InsufficientPrivilege,
)
_NOT_MIGRATED = re.compile(r'(relation|schema|function) "?[\w.]+"?(\(.*\))? does not exist')
# Else the server would hold a vanished client's locks for hours.
_SERVER_KEEPALIVES = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
# SQLSTATE classes: resources, prerequisites, intervention, system, snapshot, configuration, foreign data, internal.
_MACHINE = ("53", "55", "57", "58", "72", "F0", "HV", "XX")
_TIME_LIMITS = {
    "57014": "if the role or the database has a statement_timeout, raise it (ALTER ROLE … SET statement_timeout)",
    "25P03": "raise idle_in_transaction_session_timeout of the role or the database",
    "25P04": "raise transaction_timeout of the role or the database",
}
_CONFIGURATION = (
    ("password authentication failed", "check POSTGRES_USER and POSTGRES_PASSWORD"),
    ("no password supplied", "set POSTGRES_PASSWORD"),
    ("does not exist", "check POSTGRES_DATABASE and POSTGRES_USER"),
    ("could not translate host name", "check POSTGRES_HOST"),
    ("failed to resolve host", "check POSTGRES_HOST"),
    ("Name or service not known", "check POSTGRES_HOST"),
    ("no pg_hba.conf entry", "the server does not let this host, user or sslmode in (pg_hba.conf)"),
    ("certificate verify failed", "check POSTGRES_SSLROOTCERT and POSTGRES_SSLMODE"),
    ("server does not support SSL", "set POSTGRES_SSLMODE=disable or turn TLS on at the server"),
    ("permission denied for database", "grant CONNECT on POSTGRES_DATABASE to POSTGRES_USER"),
)


def connect(settings: PostgresSettings, application_name: str, *, autocommit: bool = False) -> Connection:
    """Open a session in UTC that finds our tables by their bare names.

    Raises:
        psycopg.OperationalError: the server can't be reached now.
    """
    password = settings.postgres_password
    return psycopg.connect(
        host=settings.postgres_host,
        port=settings.postgres_port,
        dbname=settings.postgres_database,
        user=settings.postgres_user,
        password=password.get_secret_value() if password else None,
        sslmode=settings.postgres_sslmode,
        sslrootcert=settings.postgres_sslrootcert,
        connect_timeout=settings.postgres_connect_timeout_seconds,
        application_name=application_name,
        options=f"-c search_path=clickstream -c timezone=UTC -c client_min_messages=warning {_SERVER_KEEPALIVES}",
        # A peer that vanished without a word is noticed within half a minute, on either side.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
        autocommit=autocommit,
    )


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A REPEATABLE READ transaction on an autocommit connection: all its statements see one instant."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.broken:
            connection.isolation_level = None


def describe(error: psycopg.Error, settings: PostgresSettings) -> str:
    """A database error as one line: where, what, and the remedy where one is known."""
    text = primary(error)
    where = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}/{settings.postgres_database}"
    remedy = next((advice for sign, advice in _CONFIGURATION if sign in text), None)
    if _NOT_MIGRATED.search(text):
        remedy = "run python -m services.migrate"
    remedy = remedy or _TIME_LIMITS.get(error.sqlstate or "")
    return f"{where}: {text}" + (f" — {remedy}" if remedy else "")


def primary(error: psycopg.Error) -> str:
    """What PostgreSQL says, without its detail: that quotes the row, and with it a visitor."""
    return " ".join((error.diag.message_primary or str(error)).split())


def concerns_content(error: psycopg.Error) -> bool:
    """Whether PostgreSQL refuses what a row holds: its type, a constraint, an index, or a trigger that raises.

    Codes that begin with 5-9 or I-Z are the server's own (a limit of a program, PL/pgSQL's RAISE) or invented by
    whoever wrote a trigger, but for those that speak of the machine.
    """
    state = error.sqlstate or ""
    of_server = state[:2] in ("22", "23", "44") or (state >= "5" and state[:2] not in _MACHINE)
    return of_server or isinstance(error, psycopg.DataError)  # also what psycopg itself can't send


def is_misconfigured(error: psycopg.Error) -> bool:
    """Whether waiting is no use: the server answered, and our user, password, database or TLS is wrong."""
    hopeless = _CONFIGURATION[:3] + _CONFIGURATION[6:]
    return any(sign in str(error) for sign, _ in hopeless)


@contextmanager
def connect_or_fail(
    settings: PostgresSettings, application_name: str, *, autocommit: bool = False
) -> Iterator[Connection]:
    """A session for a command that a person waits for.

    Raises:
        UserError: the server can't be reached, refuses us or goes away, or it lacks our schema.
    """
    try:
        with connect(settings, application_name, autocommit=autocommit) as connection:
            yield connection
    except (*AWAY, *_WRONG_DATABASE) as error:
        raise UserError(describe(error, settings)) from None
