"""Why PostgreSQL refuses us is told by its SQLSTATE: its words are in whatever language the server speaks."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg import sql

from services.common.postgres import RefusedError, connect, describe, is_misconfigured
from services.common.settings import PostgresSettings
from tests.conftest import Database
from tests.integration.pipeline import settings_of

_ROLE = "clickstream_ingest"
_REFUSE = """
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF session_user = 'clickstream_ingest' THEN
        RAISE EXCEPTION 'Anmeldung für »% "C" "28P01"« fehlgeschlagen', session_user USING ERRCODE = {code};
    END IF;
END $$;
CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse();
"""
_FAIL = "DO $$ BEGIN RAISE EXCEPTION {text} USING ERRCODE = {code}; END $$"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("28P01", "check POSTGRES_USER and POSTGRES_PASSWORD"),
        ("28000", "check POSTGRES_USER; the server does not let this user, host or sslmode in (pg_hba.conf)"),
        ("3D000", "check POSTGRES_DATABASE"),
        ("42501", "grant CONNECT on POSTGRES_DATABASE to POSTGRES_USER"),
        ("57P03", None),
        ("53300", None),
    ],
)
def test_a_login_refused_in_german_has_its_remedy_and_says_whether_waiting_is_of_use(
    migrated: Database, code: str, remedy: str | None
) -> None:
    with migrated.connect() as session:
        if session.info.server_version < 170000:
            pytest.skip("PostgreSQL 16 has no triggers on logins")
        session.execute(sql.SQL(_REFUSE).format(code=code))
    settings = settings_of(migrated, _ROLE)
    with pytest.raises(RefusedError) as refused:
        connect(settings, "tests")
    assert refused.value.sqlstate == code
    assert is_misconfigured(refused.value) is (remedy is not None)
    line = describe(refused.value, settings)
    assert "Anmeldung für" in line
    assert line.endswith(f" — {remedy}") if remedy else " — " not in line


def test_each_refusal_of_a_real_server_has_its_remedy(migrated: Database) -> None:
    settings = settings_of(migrated, _ROLE)
    with migrated.connect() as session:
        database = sql.Identifier(migrated.dbname)
        session.execute("CREATE ROLE nobody_may NOLOGIN PASSWORD 'nobody'")
        try:
            wrong: dict[str, dict[str, object]] = {
                "check POSTGRES_USER and POSTGRES_PASSWORD": {"postgres_password": "wrong"},
                "check POSTGRES_USER; ": {"postgres_user": "nobody_may", "postgres_password": "nobody"},
                "check POSTGRES_DATABASE": {"postgres_database": "nowhere"},
                "set POSTGRES_PASSWORD": {"postgres_password": None},
                "set POSTGRES_SSLMODE=disable": {"postgres_sslmode": "require"},
            }
            for remedy, changes in wrong.items():
                assert f" — {remedy}" in refusal(settings, **changes)
            session.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC, clickstream_ingest").format(database))
            assert " — grant CONNECT on POSTGRES_DATABASE" in refusal(settings)
        finally:
            session.execute("DROP ROLE nobody_may")


def test_a_certificate_file_that_is_not_there_is_named(migrated: Database) -> None:
    with a_server_with_tls() as port:
        line = refusal(
            settings_of(migrated), postgres_port=port, postgres_sslmode="verify-full", postgres_sslrootcert="/no/ca.pem"
        )
    assert 'root certificate file "/no/ca.pem" does not exist' in line
    assert line.endswith(" — check POSTGRES_SSLROOTCERT")


def test_a_host_that_is_not_known_may_be_known_later(migrated: Database) -> None:
    settings = settings_of(migrated).model_copy(update={"postgres_host": "no-such-host.invalid"})
    with pytest.raises(psycopg.OperationalError) as away:
        connect(settings, "tests")
    assert describe(away.value, settings).endswith(" — check POSTGRES_HOST")
    assert not is_misconfigured(away.value)


@pytest.mark.parametrize(
    ("code", "text", "remedy"),
    [
        ("42P01", "Relation »event« existiert nicht", "run python -m services.migrate"),
        ("42883", "Funktion event_day(uuid) existiert nicht", "run python -m services.migrate"),
        ("42703", "Spalte »event_days« existiert nicht", "run python -m services.migrate"),
        ("3F000", "Schema »clickstream« existiert nicht", "run python -m services.migrate"),
        ("57014", "storniere Anfrage wegen Zeitüberschreitung der Anfrage", "statement_timeout"),
        ("P0001", 'relation "event" does not exist', None),
        ("P0001", "no password supplied", None),
    ],
)
def test_a_statement_that_fails_in_german_has_its_remedy(
    migrated: Database, code: str, text: str, remedy: str | None
) -> None:
    with failing(migrated, code, text) as error:
        line = describe(error, settings_of(migrated))
        assert line.split(": ", 1)[1].startswith(text)
        assert (remedy in line) if remedy else line.endswith(text)
        assert not is_misconfigured(error)


@contextmanager
def failing(database: Database, code: str, text: str) -> Iterator[psycopg.Error]:
    """What the server makes of a statement that fails with this code and this text."""
    with connect(settings_of(database), "tests", autocommit=True) as session:
        with pytest.raises(psycopg.Error) as error:
            session.execute(sql.SQL(_FAIL).format(text=text, code=code))
        yield error.value


@contextmanager
def a_server_with_tls() -> Iterator[int]:
    """A port that agrees to TLS: libpq looks for its certificates then, before all else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def agree() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(8)
                        client.sendall(b"S")
                        client.recv(1)

        threading.Thread(target=agree, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def refusal(settings: PostgresSettings, **changes: object) -> str:
    """The line about a login that waiting would not help."""
    changed = PostgresSettings(**settings.model_dump() | changes)
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(changed, "tests")
    assert is_misconfigured(refused.value)
    return describe(refused.value, changed)
