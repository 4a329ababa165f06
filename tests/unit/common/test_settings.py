"""Settings come from the environment; what is wrong with them is said in one line that never shows a secret."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from services.common.errors import UserError, end_with_one_line
from services.common.kafka import client_config
from services.common.settings import KafkaSettings, PostgresSettings, ServedSettings, Settings, load


class _Settings(KafkaSettings, PostgresSettings, ServedSettings):
    """All parts together."""


class _WithPin(Settings):
    """A secret that has a form."""

    pin: SecretStr = Field(min_length=4, description="four digits or more")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIN", *(name.upper() for name in _Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("POSTGRES_HOST", "db")
    monkeypatch.setenv("POSTGRES_USER", "ann")


def _problem(settings: type[Settings] = _Settings) -> str:
    with pytest.raises(UserError) as caught:
        load(settings)
    return str(caught.value)


def test_what_is_set_is_read_and_the_rest_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "6543")
    settings = load(_Settings)
    assert (settings.postgres_port, settings.postgres_database, settings.kafka_topic) == (
        6543,
        "clickstream",
        "clickstream.events.v1",
    )


def test_an_option_of_the_command_line_wins_and_one_not_given_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")
    assert load(_Settings, log_level="debug").log_level == "debug"
    assert load(_Settings, log_level=None).log_level == "error"


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "")
    assert load(_Settings).postgres_port == 5432


def test_a_missing_variable_is_named_with_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRES_HOST")
    assert _problem() == "POSTGRES_HOST is not set (host of PostgreSQL)"


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRES_HOST")
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    monkeypatch.setenv("LOG_FORMAT", "xml")
    problem = _problem()
    for variable in ("POSTGRES_HOST", "KAFKA_BOOTSTRAP_SERVERS", "LOG_FORMAT"):
        assert variable in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("variable", "value", "may_be"),
    [
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("POSTGRES_PORT", "http", "integer"),
        ("POSTGRES_PORT", "0", "greater than or equal to 1"),
        ("POSTGRES_PORT", "65536", "less than or equal to 65535"),
        ("MONITORING_PORT", "-1", "greater than or equal to 0"),
        ("KAFKA_TOPIC", "my topic", "pattern"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("POSTGRES_SSLMODE", "on", "'verify-full'"),
        ("POSTGRES_CONNECT_TIMEOUT_SECONDS", "1", "greater than or equal to 2"),
    ],
)
def test_a_wrong_value_is_shown_with_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, may_be: str
) -> None:
    monkeypatch.setenv(variable, value)
    problem = _problem()
    assert problem.startswith(f"{variable}: ")
    assert may_be in problem
    assert f"not '{value}'" in problem


def test_a_wrong_secret_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIN", "s3c")
    problem = _problem(_WithPin)
    assert problem.startswith("PIN: ")
    assert "four digits or more" in problem
    assert "s3c" not in problem


def test_a_secret_does_not_show_in_the_settings_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "hunter2")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter3")
    settings = load(_Settings)
    assert "hunter" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_without_a_login_names_both_variables(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", protocol)
    with pytest.raises(UserError, match=f"{protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"):
        client_config(load(_Settings), "test")


def test_sasl_and_tls_reach_the_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("certificates")
    for name, value in {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "ann",
        "KAFKA_SASL_PASSWORD": "hunter2",
        "KAFKA_SSL_CA_LOCATION": str(ca),
    }.items():
        monkeypatch.setenv(name, value)
    config = client_config(load(_Settings), "test")
    assert (config["sasl.username"], config["sasl.password"]) == ("ann", "hunter2")
    assert (config["sasl.mechanism"], config["ssl.ca.location"]) == ("SCRAM-SHA-512", str(ca))
    assert "ssl.key.location" not in config


@pytest.mark.parametrize("what", ["CA", "CERTIFICATE", "KEY"])
def test_a_file_that_is_not_there_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setenv(f"KAFKA_SSL_{what}_LOCATION", "/nowhere/x.pem")
    with pytest.raises(UserError, match=rf"^KAFKA_SSL_{what}_LOCATION: there is no file /nowhere/x\.pem$"):
        client_config(load(_Settings), "test")


def test_an_error_of_a_user_ends_with_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("POSTGRES_HOST:\n  no such\thost")

    with pytest.raises(SystemExit) as ended:
        end_with_one_line(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: POSTGRES_HOST: no such host\n"
