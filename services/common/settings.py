"""Settings from environment variables. A field's name is its variable's, in lower case.

Each service has one class of its own, made of the parts here; `load` turns what is wrong or missing into one line.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.errors import UserError

Port = Annotated[int, Field(ge=1, le=65535)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people")


class ServedSettings(Settings):
    """For services that answer over HTTP."""

    monitoring_port: int = Field(
        9090, ge=0, le=65535, description="port of /healthz, /readyz and /metrics; 0: any free one"
    )


class KafkaSettings(Settings):
    """How to reach the broker; TLS and SASL as librdkafka takes them."""

    kafka_bootstrap_servers: str = Field(min_length=1, description="brokers, as host:port[,host:port…]")
    kafka_topic: str = Field("clickstream.events.v1", pattern=r"^[a-zA-Z0-9._-]{1,249}$", description="topic of events")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca_location: str | None = Field(None, description="file with the broker's CA certificates (PEM)")
    kafka_ssl_certificate_location: str | None = Field(None, description="file with our certificate (PEM), for mTLS")
    kafka_ssl_key_location: str | None = Field(None, description="file with our private key (PEM), for mTLS")


class PostgresSettings(Settings):
    """How to reach the database."""

    postgres_host: str = Field(min_length=1, description="host of PostgreSQL")
    postgres_port: Port = 5432
    postgres_database: str = Field("clickstream", min_length=1)
    postgres_user: str = Field(min_length=1, description="role to log in as")
    postgres_password: SecretStr | None = None
    postgres_sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    postgres_sslrootcert: str | None = Field(None, description="file with the server's CA certificates (PEM)")
    postgres_connect_timeout_seconds: int = Field(5, ge=2, le=60)


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], **given: Any) -> S:
    """Read the settings from the environment; `given` (command-line options that were set) wins over it.

    Raises:
        UserError: a variable is missing or wrong; the message names it and says what it may be.
    """
    try:
        return settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise UserError("; ".join(_explain(settings, dict(problem)) for problem in error.errors())) from None


def _explain(settings: type[BaseSettings], problem: dict[str, Any]) -> str:
    """One problem of pydantic's as a phrase a user can act on; never shows a secret's value."""
    path = [str(part) for part in problem["loc"]]
    field = settings.model_fields.get(path[0].lower()) if path else None
    variable = path[0].upper() if path else "settings"
    about = f" ({field.description})" if field is not None and field.description else ""
    if problem["type"] == "missing":
        return f"{variable} is not set{about}"
    secret = field is not None and "SecretStr" in str(field.annotation)
    shown = "" if secret or not path else f", not {problem['input']!r}"
    return f"{variable}: {problem['msg'].removeprefix('Value error, ')}{shown}{about}"
