"""What the migration needs to know."""

from pydantic import Field, SecretStr

from services.common.settings import KafkaSettings, PostgresSettings
from services.migrate.goals import Goals


class MigrateSettings(KafkaSettings, PostgresSettings):
    """POSTGRES_USER is the owner: it creates schemas and roles. A role without a password is left as it is."""

    ingest_password: SecretStr | None = Field(None, description="password of role clickstream_ingest (consumer)")
    aggregate_password: SecretStr | None = Field(None, description="password of role clickstream_aggregate")
    grafana_reader_password: SecretStr | None = Field(None, description="password of role grafana_reader (read-only)")
    kafka_topic_partitions: int = Field(12, ge=1, le=10_000, description="partitions of a topic made anew")
    kafka_topic_replication_factor: int = Field(-1, ge=-1, le=32767, description="-1: as the broker's default says")
    kafka_topic_retention_hours: int = Field(168, ge=-1, description="how long the topic keeps events; -1: for ever")
    kafka_topic_max_message_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="largest message it takes")
    goals: Goals = Field(
        {}, description='which events are a conversion, by site: {"blog.example": [{"event_type": "form_submit"}]}'
    )
    migrate_wait_seconds: float = Field(120, ge=0, description="how long to wait for PostgreSQL and the broker")
