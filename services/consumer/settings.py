"""What the consumer needs to know."""

import socket
from typing import Annotated

from pydantic import Field, StringConstraints

from services.common import sites
from services.common.settings import KafkaSettings, PositiveSeconds, PostgresSettings, ServedSettings


class ConsumerSettings(KafkaSettings, PostgresSettings, ServedSettings):
    """A batch is stored when it is full, by events or bytes, or when its first event has waited long enough."""

    consumer_group_id: str = Field("clickstream-consumer", min_length=1, max_length=249)
    consumer_name: str = Field(default_factory=socket.gethostname, max_length=255, description="its name in the ledger")
    consumer_batch_size: int = Field(20_000, ge=1, le=200_000, description="events a batch holds at the most")
    consumer_batch_bytes: int = Field(64 * 1024 * 1024, ge=1024, description="bytes after which a batch is full")
    consumer_batch_seconds: PositiveSeconds = Field(0.25, le=60, description="longest wait for a batch to fill")
    consumer_event_max_bytes: int = Field(
        1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="a larger message is dead-lettered"
    )
    consumer_session_timeout_seconds: int = Field(
        10, ge=1, le=1800, description="a consumer silent for longer loses its partitions"
    )
    event_retention_days: int = Field(
        400, ge=0, le=9000, description="older events are refused and dropped; 0 keeps all, back to 2000-01-01"
    )
    default_site: Annotated[
        str, StringConstraints(max_length=sites.MAX_LENGTH, pattern=f"^{sites.PATTERN}$", to_lower=True)
    ] = Field(
        sites.DEFAULT,
        description="site of events that name none and have no URL; the same for all consumers",
    )
