"""The login roles of the services and of Grafana; passwords reach the server only as SCRAM verifiers."""

from typing import LiteralString

import psycopg
from psycopg import sql
from pydantic import SecretStr

from services.common.errors import UserError
from services.common.postgres import Connection
from services.migrate.settings import MigrateSettings

READER = "grafana_reader"
# A dashboard can neither write nor hold the database for long.
_READER_SETTINGS: dict[LiteralString, str] = {
    "default_transaction_read_only": "on",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "search_path": "reporting",
    "timezone": "UTC",
    "jit": "off",  # compiling would take longer than any of its queries
}


def create(connection: Connection, settings: MigrateSettings) -> None:
    """Create what is missing and set the passwords that are given.

    Raises:
        UserError: POSTGRES_USER may not manage roles.
    """
    passwords = {
        "clickstream_ingest": settings.ingest_password,
        "clickstream_aggregate": settings.aggregate_password,
        READER: settings.grafana_reader_password,
    }
    try:
        for role, password in passwords.items():
            _create_role(connection, role)
            if password is not None:
                _set_password(connection, role, password)
        for name, value in _READER_SETTINGS.items():
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(sql.Identifier(READER), sql.Identifier(name), value)
            )
        connection.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 50").format(sql.Identifier(READER)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"roles: {error}; let POSTGRES_USER create roles, or create {', '.join(passwords)} beforehand"
        ) from None


def _create_role(connection: Connection, role: str) -> None:
    """Idempotent, also against another migration of the same server at the same moment."""
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        try:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            return


def _set_password(connection: Connection, role: str, password: SecretStr) -> None:
    verifier = connection.pgconn.encrypt_password(
        password.get_secret_value().encode(), role.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), verifier))
