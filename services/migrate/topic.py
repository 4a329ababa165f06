"""The topic of events: created with its partitions, and reported, never altered in silence, where it differs."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.common.errors import UserError
from services.common.kafka import client_config
from services.common.log import Logger
from services.migrate.settings import MigrateSettings

_REQUEST_SECONDS = 10
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)


def create(settings: MigrateSettings, log: Logger) -> None:
    """Create the topic if it is missing.

    Raises:
        UserError: the broker refuses.
        KafkaException: the broker can't be reached now.
    """
    admin = AdminClient(client_config(settings, "clickstream-migrate"))
    first_answer_seconds = min(max(settings.migrate_wait_seconds, 1), _REQUEST_SECONDS)
    existing = admin.list_topics(timeout=first_answer_seconds).topics.get(settings.kafka_topic)
    if existing is not None and existing.error is None:
        _report(settings, len(existing.partitions), log)
        return
    try:
        admin.create_topics([_new_topic(settings)], request_timeout=_REQUEST_SECONDS)[settings.kafka_topic].result()
        log.info("topic created", topic=settings.kafka_topic, partitions=settings.kafka_topic_partitions)
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if code in _REFUSED:
            raise UserError(
                f"the broker does not let us create topic {settings.kafka_topic}: create it "
                f"with {settings.kafka_topic_partitions} partitions, or give KAFKA_SASL_USERNAME the right to"
            ) from None
        if error.args[0].retriable() or code < 0:
            raise
        raise UserError(f"topic {settings.kafka_topic}: {error.args[0].str()}") from None


def _new_topic(settings: MigrateSettings) -> NewTopic:
    hours = settings.kafka_topic_retention_hours
    return NewTopic(
        settings.kafka_topic,
        num_partitions=settings.kafka_topic_partitions,
        replication_factor=settings.kafka_topic_replication_factor,
        config={
            "retention.ms": str(hours * 3_600_000 if hours >= 0 else -1),
            "max.message.bytes": str(settings.kafka_topic_max_message_bytes),
        },
    )


def _report(settings: MigrateSettings, partitions: int, log: Logger) -> None:
    if partitions < settings.kafka_topic_partitions:
        log.warning(
            "topic has fewer partitions than asked for: left as it is, for more would part a visitor's events; "
            "at most as many consumers as partitions have work",
            topic=settings.kafka_topic,
            partitions=partitions,
            kafka_topic_partitions=settings.kafka_topic_partitions,
        )
    else:
        log.info("topic is there", topic=settings.kafka_topic, partitions=partitions)
