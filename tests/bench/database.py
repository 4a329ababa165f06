"""An empty database with our schema, on a server of its own, for as long as a measurement lasts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from local.embedded import postgres_alone
from services.common.postgres import connect
from services.common.settings import PostgresSettings
from services.migrate import roles, schema
from services.migrate.settings import MigrateSettings

_READER_PASSWORD = SecretStr("reader-of-bench")


@contextmanager
def empty_database() -> Iterator[PostgresSettings]:
    """How its owner logs in; it does not survive a crash of the machine, and is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        with postgres_alone(Path(name), {"fsync": "off"}) as server:
            owner = PostgresSettings(
                postgres_host=server.host,
                postgres_port=server.port,
                postgres_database="postgres",
                postgres_user=server.user,
                postgres_password=SecretStr(server.password),
            )
            _migrate(owner)
            yield owner


def as_reader(owner: PostgresSettings) -> PostgresSettings:
    """How Grafana logs in there."""
    return owner.model_copy(update={"postgres_user": roles.READER, "postgres_password": _READER_PASSWORD})


def _migrate(owner: PostgresSettings) -> None:
    settings = MigrateSettings(
        **owner.model_dump(), kafka_bootstrap_servers="unused:9092", grafana_reader_password=_READER_PASSWORD
    )
    with connect(owner, "bench", autocommit=True) as connection:
        roles.create(connection, settings)
        schema.apply(connection, schema.read())
