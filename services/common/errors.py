"""Errors a user can cause: each ends the process with one line that names the thing and the remedy."""

import sys
from collections.abc import Callable
from typing import NoReturn

from confluent_kafka import KafkaException


class UserError(Exception):
    """Wrong configuration, wrong input or a dependency that is not there; the message is shown as it is."""


def end_with_one_line(main: Callable[[], object]) -> None:
    """Run `main`; a UserError becomes one line on stderr and exit code 1 instead of a traceback.

    So does what librdkafka refuses for good: a broken certificate, a fatal error of the group.
    """
    try:
        main()
    except UserError as error:
        fail(str(error))
    except KafkaException as error:
        fail(f"Kafka: {error.args[0].str()}; check the KAFKA_* settings")


def fail(message: str) -> NoReturn:
    """Print one line and exit with code 1."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(1)
