"""The login roles of the services and of Grafana; passwords reach the server only as SCRAM verifiers.

Only what lacks is done, so that an owner without CREATEROLE can use roles that an administrator made. What such an
owner may not do, and the platform works without, is returned as advice.
"""

from typing import LiteralString, NamedTuple

import psycopg
from psycopg import errors, sql
from pydantic import SecretStr

from services.common.errors import UserError
from services.common.postgres import Connection, RefusedError, connect_pooled
from services.migrate.settings import MigrateSettings

READER = "grafana_reader"
_READER_CONNECTIONS = 50
# What a session of a dashboard begins with. It may change each of these itself: what it can't change is in `_WALLS`.
_READER_SETTINGS: dict[LiteralString, str] = {
    "default_transaction_read_only": "on",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "search_path": "reporting",
    "timezone": "UTC",
    "jit": "off",  # compiling would take longer than any of its queries
}


class _Wall(NamedTuple):
    """What grafana_reader may do, or the services may not, as long as `gap` is true; the statements change that."""

    what: str
    gap: LiteralString
    statements: tuple[LiteralString, ...]


_WALLS = (
    _Wall(
        "grafana_reader may make temporary tables, or the services may not",
        """SELECT has_database_privilege('grafana_reader', current_database(), 'TEMPORARY')
            OR NOT bool_and(has_database_privilege(role, current_database(), privilege))
        FROM (VALUES ('clickstream_ingest', 'CONNECT'), ('clickstream_ingest', 'TEMPORARY'),
            ('clickstream_aggregate', 'CONNECT'), ('clickstream_aggregate', 'TEMPORARY'),
            ('grafana_reader', 'CONNECT')) AS needed (role, privilege)""",
        (
            "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO clickstream_ingest, clickstream_aggregate",
            "GRANT CONNECT ON DATABASE {database} TO grafana_reader",
            "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, grafana_reader",
        ),
    ),
    _Wall(
        "grafana_reader may make tables in schema public",
        """SELECT EXISTS (
            SELECT FROM pg_namespace WHERE nspname = 'public' AND has_schema_privilege('grafana_reader', oid, 'CREATE')
        )""",
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC",),
    ),
    _Wall(
        "grafana_reader may make large objects",
        """SELECT EXISTS (
            SELECT FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea')
                AND has_function_privilege('grafana_reader', oid, 'EXECUTE')
        )""",
        ("REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC",),
    ),
    _Wall(
        "the aggregator may not end sessions of grafana_reader that take too long",
        "SELECT NOT pg_has_role('clickstream_aggregate', 'grafana_reader', 'USAGE')",
        ("GRANT grafana_reader TO clickstream_aggregate",),
    ),
)


def create(connection: Connection, settings: MigrateSettings) -> list[str]:
    """Create what is missing, set the passwords that are given, and put up what Grafana's role can't pass.

    Returns, a line each, what POSTGRES_USER may not do and an administrator should.

    Raises:
        UserError: a role is missing, or has another password than given, and POSTGRES_USER may not change that.
    """
    passwords = {
        "clickstream_ingest": settings.ingest_password,
        "clickstream_aggregate": settings.aggregate_password,
        READER: settings.grafana_reader_password,
    }
    _create_missing(connection, list(passwords))
    for role, password in passwords.items():
        if password is not None:
            _set_password(connection, settings, role, password)
    advice = [_limit_reader(connection), *(_put_up(connection, wall) for wall in _WALLS)]
    return [line for line in advice if line]


def _create_missing(connection: Connection, roles: list[str]) -> None:
    """Idempotent, also against another migration of the same server at the same moment."""
    there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    refused = []
    for role in roles:
        if role not in there:
            try:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                continue
            except psycopg.errors.InsufficientPrivilege:
                refused.append(role)
    if refused:
        statements = "; ".join(f"CREATE ROLE {role} LOGIN PASSWORD '…'" for role in refused)
        raise UserError(
            f"{_named('role', refused)} missing, and {connection.info.user} may not create roles: "
            f"give it CREATEROLE, or run as an administrator: {statements}"
        )


def _named(noun: str, names: list[str]) -> str:
    return f"{noun} {names[0]} is" if len(names) == 1 else f"{noun}s {', '.join(names)} are"


def _set_password(connection: Connection, settings: MigrateSettings, role: str, password: SecretStr) -> None:
    verifier = connection.pgconn.encrypt_password(
        password.get_secret_value().encode(), role.encode(), b"scram-sha-256"
    ).decode()
    try:
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), verifier))
    except psycopg.errors.InsufficientPrivilege:
        _require_password(connection, settings, role, password)


def _require_password(connection: Connection, settings: MigrateSettings, role: str, password: SecretStr) -> None:
    """Where we may not set it, it must be the role's already."""
    login = settings.model_copy(update={"postgres_user": role, "postgres_password": password})
    try:
        connect_pooled(login, "clickstream-migrate").close()
    except RefusedError as error:
        if error.sqlstate == errors.InvalidPassword.sqlstate or not _may_log_in(connection, role):
            variable = f"{role.removeprefix('clickstream_').upper()}_PASSWORD"
            raise UserError(
                f"role {role} can't log in with {variable}, and {connection.info.user} may not set its password: run "
                f"as an administrator: ALTER ROLE {role} LOGIN PASSWORD '…', with that of {variable}"
            ) from None


def _may_log_in(connection: Connection, role: str) -> bool:
    return connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role]).fetchone() == (True,)


def _limit_reader(connection: Connection) -> str:
    """The role's settings that differ from what they should be; returns what could not be set."""
    role = sql.Identifier(READER)
    rows = connection.execute(
        "SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = %s::regrole "
        "AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))",
        [READER],
    )
    there = {text.lower() for (text,) in rows}  # PostgreSQL spells it TimeZone
    statements: list[sql.Composed] = [
        sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), value)
        for name, value in _READER_SETTINGS.items()
        if f"{name}={value}".lower() not in there
    ]
    limit = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [READER]).fetchone()
    if limit != (_READER_CONNECTIONS,):
        statements.append(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(role, _READER_CONNECTIONS))
    refused = [statement for statement in statements if not _may(connection, statement)]
    return _advice(connection, f"{READER} lacks settings", refused)


def _put_up(connection: Connection, wall: _Wall) -> str:
    """Close a gap if there is one; returns what it takes where that is not in our power.

    What is revoked without the right to is a warning to PostgreSQL, not an error: whether it helped is asked.
    """
    if connection.execute(wall.gap).fetchone() == (False,):
        return ""
    database = sql.Identifier(connection.info.dbname)
    statements: list[sql.Composed] = [sql.SQL(text).format(database=database) for text in wall.statements]
    for statement in statements:
        _may(connection, statement)
    if connection.execute(wall.gap).fetchone() == (False,):
        return ""
    return _advice(connection, wall.what, statements)


def _may(connection: Connection, statement: sql.Composed) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.errors.UniqueViolation:  # another migration of this server did the same at this moment
        return True
    return True


def _advice(connection: Connection, what: str, statements: list[sql.Composed]) -> str:
    if not statements:
        return ""
    text = "; ".join(statement.as_string(connection) for statement in statements)
    return f"{what}, and {connection.info.user} may not change that: run as an administrator: {text}"
