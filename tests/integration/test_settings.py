"""A service that is told something wrong ends at once with one line that names the variable, and exit code 1."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Database

_ROOT = Path(__file__).resolve().parents[2]
_CONSUMER = "consumer run"
_LETTERS = "consumer dead-letters list"
_SIMULATE = "producer simulate"
_AGGREGATOR = "aggregator run"
_MIGRATE = "migrate"
_WELL_SET = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "POSTGRES_HOST": "127.0.0.1",
    "POSTGRES_PORT": "1",
    "POSTGRES_USER": "nobody",
    "POSTGRES_PASSWORD": "hunter2",
    "MONITORING_PORT": "0",
    "MIGRATE_WAIT_SECONDS": "0",
    "AGGREGATOR_RUN_SECONDS": "1",
}


def _ended(command: str, **environment: str) -> str:
    """The one line on stderr of a service that ends by itself."""
    system = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    ended = subprocess.run(
        [sys.executable, "-m", *f"services.{command}".split()],
        env=system | _WELL_SET | environment,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    return ended.stderr.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (_CONSUMER, "KAFKA_BOOTSTRAP_SERVERS"),
        (_CONSUMER, "POSTGRES_HOST"),
        (_CONSUMER, "POSTGRES_USER"),
        (_LETTERS, "POSTGRES_HOST"),
        (_SIMULATE, "KAFKA_BOOTSTRAP_SERVERS"),
        (_AGGREGATOR, "POSTGRES_HOST"),
        (_MIGRATE, "POSTGRES_USER"),
    ],
)
def test_a_missing_variable_is_named(command: str, variable: str) -> None:
    assert _ended(command, **{variable: ""}).startswith(f"{variable} is not set (")


@pytest.mark.parametrize(
    ("command", "variable", "value", "may_be"),
    [
        (_CONSUMER, "CONSUMER_BATCH_SIZE", "0", "greater than or equal to 1"),
        (_CONSUMER, "CONSUMER_BATCH_SECONDS", "nan", "finite number"),
        (_CONSUMER, "EVENT_RETENTION_DAYS", "-1", "greater than or equal to 0"),
        (_CONSUMER, "LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        (_LETTERS, "POSTGRES_PORT", "postgres", "valid integer"),
        (_SIMULATE, "PRODUCER_INVALID_SHARE", "2", "less than or equal to 0.5"),
        (_AGGREGATOR, "AGGREGATOR_PASS_SECONDS", "often", "valid number"),
        (_MIGRATE, "KAFKA_TOPIC_PARTITIONS", "0", "greater than or equal to 1"),
        (_MIGRATE, "POSTGRES_SSLMODE", "on", "'verify-full'"),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_may_be(command: str, variable: str, value: str, may_be: str) -> None:
    line = _ended(command, **{variable: value})
    assert line.startswith(f"{variable}: ")
    assert may_be in line
    assert f"not '{value}'" in line


def test_all_that_is_wrong_is_named_at_once() -> None:
    line = _ended(_CONSUMER, POSTGRES_HOST="", CONSUMER_BATCH_SIZE="many", KAFKA_TOPIC="my topic")
    assert {"POSTGRES_HOST", "CONSUMER_BATCH_SIZE", "KAFKA_TOPIC"} <= {
        part.split()[0].rstrip(":") for part in line.split("; ")
    }


@pytest.mark.parametrize("command", [_CONSUMER, _SIMULATE, _MIGRATE])
def test_sasl_without_a_login_names_what_it_needs(migrated: Database, command: str) -> None:
    line = _ended(command, **migrated.env(), KAFKA_SECURITY_PROTOCOL="SASL_SSL")
    assert line == "KAFKA_SECURITY_PROTOCOL=SASL_SSL needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"


@pytest.mark.parametrize("command", [_CONSUMER, _SIMULATE, _MIGRATE])
def test_a_certificate_that_is_not_there_is_named(migrated: Database, command: str) -> None:
    missing = "/nowhere/ca.pem"
    line = _ended(command, **migrated.env(), KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CA_LOCATION=missing)
    assert line == f"KAFKA_SSL_CA_LOCATION: there is no file {missing}"


@pytest.mark.parametrize("command", [_CONSUMER, _LETTERS, _AGGREGATOR, _MIGRATE])
@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("POSTGRES_PASSWORD", "wrong", "check POSTGRES_USER and POSTGRES_PASSWORD"),
        ("POSTGRES_DATABASE", "nowhere", "check POSTGRES_DATABASE"),
    ],
)
def test_a_database_that_refuses_us_is_named_with_the_remedy(
    migrated: Database, command: str, variable: str, value: str, remedy: str
) -> None:
    line = _ended(command, **migrated.env() | {variable: value})
    assert line.startswith(f"PostgreSQL at {migrated.host}:{migrated.port}/")
    assert remedy in line


@pytest.mark.parametrize("command", [_LETTERS, _AGGREGATOR, _MIGRATE])
def test_a_host_that_is_not_there_is_named(command: str) -> None:
    assert "check POSTGRES_HOST" in _ended(command, POSTGRES_HOST="no-such-host.invalid")


def test_a_monitoring_port_that_is_taken_is_named(migrated: Database) -> None:
    line = _ended(_CONSUMER, **migrated.env(), MONITORING_PORT=str(migrated.port))
    assert line.startswith(f"MONITORING_PORT={migrated.port}: ")
    assert "choose another" in line


def test_a_certificate_that_is_none_ends_in_one_line(tmp_path: Path) -> None:
    (certificate := tmp_path / "ca.pem").write_text("not a certificate")
    line = _ended(_SIMULATE, KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CA_LOCATION=f"{certificate}")
    assert "ssl.ca.location" in line
    assert "KAFKA_" in line
