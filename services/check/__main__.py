"""`python -m services.check`: prove that events flow, from the topic to what dashboards read."""

import threading
import time

import psycopg
import typer
from confluent_kafka import KafkaError, Producer

from services.check.settings import CheckSettings
from services.check.visit import Visit
from services.common import backoff, log, shutdown
from services.common.errors import UserError, end_with_one_line
from services.common.kafka import client_config
from services.common.postgres import connect_pooled, describe
from services.common.settings import load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def check() -> None:
    """Send a marked visit and wait until its session is complete in schema `reporting`."""
    settings: CheckSettings = load(CheckSettings)
    logger = log.configure(settings, "check")
    stop = shutdown.on_signal()
    deadline = time.monotonic() + settings.check_deadline_seconds
    visit = Visit.at(time.time_ns() // 1_000_000, settings.check_events)
    _send(visit, settings, deadline)
    sent_at = time.monotonic()
    logger.info("marked events sent", events=visit.events, visitor_id=visit.visitor_id, topic=settings.kafka_topic)
    _wait(visit, settings, deadline, stop)
    logger.info("marked events are in reporting", events=visit.events, seconds=round(time.monotonic() - sent_at, 3))


def _send(visit: Visit, settings: CheckSettings, deadline: float) -> None:
    refusals: list[str] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            refusals.append(error.str())

    producer = Producer(
        client_config(settings, "clickstream-check")
        | {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(settings.check_deadline_seconds * 1000),
            "on_delivery": delivered,
        }
    )
    for message in visit.messages():
        producer.produce(settings.kafka_topic, message, key=visit.visitor_id)
    waiting = producer.flush(max(0.0, deadline - time.monotonic()))
    if waiting or refusals:
        reason = refusals[0] if refusals else f"no answer within {settings.check_deadline_seconds:.0f} s"
        raise UserError(
            f"broker at {settings.kafka_bootstrap_servers}: {waiting + len(refusals)} of {visit.events} marked events "
            f"were not delivered: {reason} — check KAFKA_BOOTSTRAP_SERVERS and that topic {settings.kafka_topic} exists"
        )


def _wait(visit: Visit, settings: CheckSettings, deadline: float, stop: threading.Event) -> None:
    """Look until all are there, through a database that is away for a while."""
    problem = f"0 of {visit.events} marked events are in reporting — look at the consumer's log"
    for delay in backoff.delays(limit_seconds=2):
        try:
            seen = _count(visit, settings)
            if seen == visit.events:
                return
            problem = f"{seen} of {visit.events} marked events are in reporting — look at the consumer's log"
        except psycopg.Error as error:
            problem = describe(error, settings)
        if time.monotonic() + delay > deadline or stop.wait(delay):
            raise UserError(f"after {settings.check_deadline_seconds:.0f} s: {problem}")


def _count(visit: Visit, settings: CheckSettings) -> int:
    with connect_pooled(settings, "clickstream-check", autocommit=True) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(events), 0)::bigint FROM reporting.session WHERE session_id = %s", [visit.session_id]
        ).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    end_with_one_line(app)
