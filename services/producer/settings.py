"""The producer's settings: how it sends, and what each source is told."""

from typing import Annotated

from pydantic import AliasChoices, AwareDatetime, Field

from services.common.settings import KafkaSettings, PositiveSeconds, ServedSettings
from services.producer.site import SHOP, SitesOption

Share = Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)]


class SendingSettings(ServedSettings, KafkaSettings):
    """What sending needs, whatever the source."""

    producer_queue_messages: int = Field(
        100_000, ge=1_000, le=10_000_000, description="messages that may wait for the broker before the source waits"
    )
    producer_linger_ms: int = Field(20, ge=0, le=1_000, description="how long a batch waits to fill")
    producer_flush_seconds: PositiveSeconds = Field(
        20.0, description="after SIGTERM, how long to go on delivering what is queued"
    )
    producer_progress_seconds: PositiveSeconds = Field(5.0, description="time between progress lines")


class SimulateSettings(SendingSettings):
    """Simulated visitors."""

    producer_rate: float = Field(
        0.0, ge=0, le=1_000_000, allow_inf_nan=False, description="events a second; 0: as fast as possible"
    )
    producer_events: int = Field(
        -1,
        ge=-1,
        validation_alias=AliasChoices("producer_events", "number_of_messages"),
        description="messages to send, duplicates and invalid ones included; -1: for ever",
    )
    producer_seed: int | None = Field(None, ge=0, description="same seed and same start: same events")
    producer_late_share: Share = Field(0.02, description="share of events that arrive minutes to hours late, 0 to 0.5")
    producer_duplicate_share: Share = Field(0.01, description="share of messages that are client retries, 0 to 0.5")
    producer_invalid_share: Share = Field(0.0, description="share of messages that are broken, 0 to 0.5")
    producer_visitors: int = Field(100_000, ge=1, le=10_000_000, description="visitors who come and come back")
    producer_site: SitesOption = Field(
        (SHOP,),
        validate_default=False,
        description="sites that the visitors are spread over, the first has most: SITE,…",
    )
    producer_start: AwareDatetime | None = Field(
        None, description="time of the first event, with zone: 2026-01-31T00:00:00Z; must lie in the past"
    )
    producer_span_hours: float = Field(
        24.0, gt=0, le=24 * 366, description="without a rate, a fixed number of events is spread over this time"
    )
