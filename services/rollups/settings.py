"""What it takes to roll up: for the aggregator, and for the migration that fills what is new."""

from pydantic import Field

from services.common.settings import PostgresSettings


class RollupSettings(PostgresSettings):
    """How large a pass may be."""

    aggregator_pass_events: int = Field(
        200_000, ge=1, description="events after which a pass takes no further batch; the rest follows at once"
    )
    aggregator_work_mem_mb: int = Field(64, ge=1, le=65_536, description="memory for each sort or hash of a pass")
