"""Room for the days of a batch, where it lacks: made by the database, as it sees fit."""

from collections.abc import Collection
from datetime import date
from typing import LiteralString

from services.common.postgres import Connection, transaction

_COVERED: LiteralString = "SELECT first_day, last_day FROM reporting.event_partition"
_CREATE: LiteralString = "SELECT create_event_partition(%s)"


def create(connection: Connection, days: Collection[date]) -> None:
    """Make partitions for these UTC days, each in a transaction of its own; old days share one, so few calls do."""
    left = sorted(days)
    while left:
        with transaction(connection):
            covered = connection.execute(_COVERED).fetchall()
        left = [day for day in left if not any(first <= day <= last for first, last in covered)]
        if left:
            with transaction(connection):
                connection.execute(_CREATE, [left.pop(0)])
