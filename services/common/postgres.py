"""Connections to PostgreSQL, and which of its errors mean "wait", which mean "your configuration is wrong"."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from services.common import pooler, refusal
from services.common.errors import UserError
from services.common.settings import PostgresSettings

Connection = psycopg.Connection[tuple[Any, ...]]

# A restart, a failover, a full disk, a time limit, a server that only reads for now: the same statement works later.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName)
# SQLSTATE classes: resources, prerequisites, intervention, system, snapshot, configuration, foreign data, internal.
_MACHINE = ("53", "55", "57", "58", "72", "F0", "HV", "XX")
_TIME_LIMITS = {
    "57014": "if the role or the database has a statement_timeout, raise it (ALTER ROLE … SET statement_timeout)",
    "25P03": "raise idle_in_transaction_session_timeout of the role or the database",
    "25P04": "raise transaction_timeout of the role or the database",
}
# Why a server will never let us in.
_REFUSALS = {
    "28P01": "check POSTGRES_USER and POSTGRES_PASSWORD",
    "28000": "check POSTGRES_USER; the server does not let this user, host or sslmode in (pg_hba.conf)",
    "3D000": "check POSTGRES_DATABASE",
    "42501": "grant CONNECT on POSTGRES_DATABASE to POSTGRES_USER",
}
# What psycopg and libpq find without the server; they speak English.
_UNKNOWN_HOST = {"failed to resolve host": "check POSTGRES_HOST"}
_WRONG_HERE = {
    "no password supplied": "set POSTGRES_PASSWORD",
    "root certificate file": "check POSTGRES_SSLROOTCERT",
    "certificate verify failed": "check POSTGRES_SSLROOTCERT and POSTGRES_SSLMODE",
    "server does not support SSL": "set POSTGRES_SSLMODE=disable or turn TLS on at the server",
}
_PREPARE_AFTER = 5
# Without keepalives the server would hold a vanished client's locks for hours.
_SESSION: LiteralString = """
SELECT set_config('search_path', 'clickstream', false), set_config('TimeZone', 'UTC', false),
    set_config('client_min_messages', 'warning', false), set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)
"""
# Long waits for a lock would keep a consumer from its group, from health and from an end in time.
_TRANSACTION: LiteralString = """
SELECT set_config('search_path', 'clickstream', true), set_config('TimeZone', 'UTC', true),
    set_config('lock_timeout', '3s', true)
"""


class RefusedError(psycopg.OperationalError):
    """A server answered and did not let us in; `sqlstate` says why."""


def connect(settings: PostgresSettings, application_name: str, *, autocommit: bool = False) -> Connection:
    """Open a session in UTC that finds our tables by their bare names.

    Raises:
        psycopg.OperationalError: the server can't be reached now, or refuses us (RefusedError).
        UserError: there is no session to have: a pooler in transaction mode is between.
    """
    connection = connect_pooled(settings, application_name, autocommit=True)
    with ExitStack() as otherwise:
        otherwise.callback(connection.close)
        if not keep_session(connection):
            _refuse_shared_sessions(connection, settings, application_name)
            _set_up(connection)
        connection.autocommit = autocommit
        otherwise.pop_all()
    return connection


def connect_pooled(settings: PostgresSettings, application_name: str, *, autocommit: bool = False) -> Connection:
    """Open a connection that may lead to another session in each transaction: nothing set in one lasts.

    What runs on it names schemas, or is in a `transaction`.

    Raises:
        psycopg.OperationalError: the server can't be reached now, or refuses us (RefusedError).
    """
    password = settings.postgres_password
    # No startup options: a pooler refuses them.
    login = make_conninfo(
        host=settings.postgres_host,
        port=settings.postgres_port,
        dbname=settings.postgres_database,
        user=settings.postgres_user,
        password=password.get_secret_value() if password else None,
        sslmode=settings.postgres_sslmode,
        sslrootcert=settings.postgres_sslrootcert,
        connect_timeout=settings.postgres_connect_timeout_seconds,
        application_name=application_name,
        # A peer that vanished without a word is noticed within half a minute, on either side.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )
    try:
        return psycopg.connect(login, autocommit=autocommit, prepare_threshold=None)
    except errors.ConnectionTimeout:
        raise
    except psycopg.OperationalError as error:
        code = refusal.sqlstate(login, settings.postgres_connect_timeout_seconds)
        if code is None:
            raise
        refused = RefusedError(str(error))
        refused.sqlstate = code
        raise refused from None


def keep_session(connection: Connection) -> bool:
    """Set a session up for good, if it is one: False, and nothing done, where a pooler is between."""
    if pooler.is_between(connection):
        return False
    _set_up(connection)
    return True


def _set_up(connection: Connection) -> None:
    connection.execute(_SESSION)
    connection.prepare_threshold = _PREPARE_AFTER


def _refuse_shared_sessions(connection: Connection, settings: PostgresSettings, application_name: str) -> None:
    with connect_pooled(settings, application_name, autocommit=True) as other:
        if pooler.shares_sessions(connection, other):
            raise UserError(
                f"{_where(settings)} is behind a pooler in transaction mode, and {application_name} needs a session of "
                "its own: set POSTGRES_HOST and POSTGRES_PORT to the server itself"
            )


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction in UTC that finds our tables by their bare names, whichever session it is in."""
    with connection.transaction():
        connection.execute(_TRANSACTION)
        yield


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
    remedy = _remedy(error)
    return f"{_where(settings)}: {primary(error)}" + (f" — {remedy}" if remedy else "")


def _where(settings: PostgresSettings) -> str:
    return f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}/{settings.postgres_database}"


def _remedy(error: psycopg.Error) -> str | None:
    if isinstance(error, RefusedError):
        return _REFUSALS.get(error.sqlstate or "")
    if isinstance(error, _NOT_MIGRATED):
        return "run python -m services.migrate"
    if error.sqlstate is None:
        return next((advice for sign, advice in (_UNKNOWN_HOST | _WRONG_HERE).items() if sign in str(error)), None)
    return _TIME_LIMITS.get(error.sqlstate)


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
    """Whether waiting is no use: our user, password, database or TLS is wrong."""
    if isinstance(error, RefusedError):
        return error.sqlstate in _REFUSALS
    return error.sqlstate is None and any(sign in str(error) for sign in _WRONG_HERE)


@contextmanager
def connect_or_fail(
    settings: PostgresSettings, application_name: str, *, autocommit: bool = False, pooled: bool = False
) -> Iterator[Connection]:
    """A session, or a `pooled` connection, for a command that a person waits for.

    Raises:
        UserError: the server can't be reached, refuses us or goes away, or it lacks our schema.
    """
    opened = connect_pooled if pooled else connect
    try:
        with opened(settings, application_name, autocommit=autocommit) as connection:
            yield connection
    except (*AWAY, *_NOT_MIGRATED, errors.InsufficientPrivilege) as error:
        raise UserError(describe(error, settings)) from None
