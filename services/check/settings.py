"""What the check needs to know."""

from pydantic import Field

from services.common.settings import KafkaSettings, PositiveSeconds, PostgresSettings


class CheckSettings(KafkaSettings, PostgresSettings):
    """POSTGRES_USER needs to read schema `reporting`, as Grafana's role does."""

    check_events: int = Field(50, ge=1, le=10_000, description="marked events to send")
    check_deadline_seconds: PositiveSeconds = Field(180, le=3600, description="how long to wait for them")
