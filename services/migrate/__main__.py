"""`python -m services.migrate`: bring schema, roles, topic and rollups to what this version needs, or wait for it."""

import threading
import time
from collections.abc import Callable
from typing import Annotated

import psycopg
import typer
from confluent_kafka import KafkaException

from services.common import backoff, locks, log, shutdown
from services.common.errors import UserError, end_with_one_line
from services.common.postgres import AWAY, Connection, connect, connect_pooled, describe, is_misconfigured
from services.common.settings import PostgresSettings, load
from services.migrate import history, roles, schema, topic
from services.migrate.settings import MigrateSettings
from services.rollups.settings import RollupSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def migrate(
    wait: Annotated[
        bool, typer.Option("--wait", help="Only wait until the schema is what this version needs.")
    ] = False,
) -> None:
    """Apply what the database lacks, create roles and topic, fill new rollups; safe to repeat, and to run twice."""
    settings: MigrateSettings = load(MigrateSettings)
    logger = log.configure(settings, "migrate")
    stop = shutdown.on_signal()
    deadline = time.monotonic() + settings.migrate_wait_seconds

    def retry(step: Callable[[], None]) -> None:
        _retry(step, settings, deadline, stop, logger, also_refused=wait)

    if wait:
        retry(lambda: _wait_for_schema(settings))
        return
    retry(lambda: _migrate_schema(settings, logger))
    retry(lambda: topic.create(settings, logger))
    history.fill(load(RollupSettings), logger, stop)


def _migrate_schema(settings: MigrateSettings, logger: log.Logger) -> None:
    with connect(settings, "clickstream-migrate", autocommit=True) as connection:
        for advice in roles.create(connection, settings):
            logger.warning(advice)
        applied = schema.apply(connection, schema.read(), settings.goals)
    logger.info("schema is up to date", applied=applied)


class _SchemaNotReadyError(Exception):
    """The migration has not run yet."""


def _wait_for_schema(settings: PostgresSettings) -> None:
    connection: Connection
    with connect_pooled(settings, "clickstream-migrate-wait", autocommit=True) as connection:
        try:
            lacking = schema.missing(connection, schema.read())
        except psycopg.errors.InsufficientPrivilege as error:
            # A migration that is under way grants rights in its last transaction.
            raise _SchemaNotReadyError(describe(error, settings)) from None
        if lacking:
            raise _SchemaNotReadyError(f"the schema lacks {len(lacking)} migrations, the first is {lacking[0]}")


def _retry(
    step: Callable[[], None],
    settings: MigrateSettings,
    deadline: float,
    stop: threading.Event,
    logger: log.Logger,
    *,
    also_refused: bool,
) -> None:
    """Repeat a step while what it needs is only away, until the deadline.

    `also_refused`: a login that is refused too, for who waits may be there before their role.
    """
    for delay in backoff.delays():
        try:
            step()
            return
        except locks.TakenError as taken:  # a migration or a rebuild takes the time it takes
            logger.warning("waiting", reason=str(taken))
            if stop.wait(delay):
                raise UserError(f"stopped while waiting: {taken}") from None
            continue
        except AWAY as error:
            # Internal: another migration of this server changed the same role at this moment.
            problem, hopeless = describe(error, settings), is_misconfigured(error) and not also_refused
        except KafkaException as error:
            where = f"broker at {settings.kafka_bootstrap_servers}"
            problem, hopeless = f"{where}: {error.args[0].str()} — check KAFKA_BOOTSTRAP_SERVERS", False
        except _SchemaNotReadyError as error:
            problem, hopeless = str(error), False
        if hopeless or time.monotonic() + delay > deadline:
            raise UserError(problem)
        logger.warning("waiting", reason=problem)
        if stop.wait(delay):
            raise UserError(f"stopped while waiting: {problem}")


if __name__ == "__main__":
    end_with_one_line(app)
