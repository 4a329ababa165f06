"""What the aggregator needs to know."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from services.common.settings import PositiveSeconds
from services.rollups.settings import RollupSettings

Days = Annotated[int, Field(ge=0, le=9000)]


def _pairs(value: object) -> object:
    """`a=1,b=2` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(equals and name.strip() for name, equals, _ in pairs):
        raise ValueError("write rollup=days,rollup=days")
    return {name.strip(): days.strip() for name, _, days in pairs}


class AggregatorSettings(RollupSettings):
    """A run lasts less than the minute after which the CronJob starts the next; its passes keep the tail short."""

    aggregator_run_seconds: PositiveSeconds = Field(50, le=86_400, description="how long a run goes on")
    aggregator_pass_seconds: PositiveSeconds = Field(10, le=3600, description="time from one pass to the next")
    event_retention_days: int = Field(
        400, ge=0, le=9000, description="raw events older than this are dropped; 0 keeps all"
    )
    event_partitions_ahead_days: int = Field(3, ge=2, le=366, description="day partitions that exist beforehand")
    rollup_retention_days: Annotated[dict[str, Days], NoDecode, BeforeValidator(_pairs)] = Field(
        {},
        description="days that rows of a rollup are kept, where other than declared: traffic_minute=30,page_hour=800; "
        "0 keeps all",
    )
    dead_letter_retention_days: int = Field(
        30, ge=1, description="a dead letter is dropped this long after it was replayed"
    )
    aggregator_run_retention_days: int = Field(90, ge=1, description="how long the records of runs are kept")
