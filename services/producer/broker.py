"""The way to the broker: an idempotent client, waiting until the topic is there, and one clear line when it is away."""

import threading

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from services.common.backoff import delays
from services.common.errors import UserError
from services.common.kafka import client_config
from services.common.monitoring import Health
from services.producer.settings import SendingSettings

LOOKUP_SECONDS = 3.0
_REFUSED = {
    KafkaError._AUTHENTICATION: "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the user may not write to KAFKA_TOPIC",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the user may not write idempotently to this cluster",
}
_NO_CONNECTION = (KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL)
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)

log = structlog.stdlib.get_logger("producer")


class Broker:
    """A client of the broker and what is known of the broker's health.

    Messages are kept until they are acknowledged, however long the broker is away; the queue is bounded.
    """

    def __init__(self, settings: SendingSettings, health: Health) -> None:
        self._address = settings.kafka_bootstrap_servers
        self._topic = settings.kafka_topic
        self._health = health
        self._away = False
        self._refusal: str | None = None
        self._last_problem = ""
        self._dropped = 0
        self.failures: dict[str, int] = {}
        self.client = Producer(
            client_config(settings, "clickstream-producer")
            | {
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "partitioner": "murmur2_random",  # the Java client's: a key finds its partition from any language
                "linger.ms": settings.producer_linger_ms,
                "batch.size": 512 * 1024,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": settings.producer_queue_messages,
                "queue.buffering.max.kbytes": 256 * 1024,
                "message.timeout.ms": 0,
                # Its own lines about a broker that is away come by the dozen; ours comes once.
                "log_level": 7 if settings.log_level == "debug" else 2,
                "delivery.report.only.error": True,
                "on_delivery": self._failed,
                "error_cb": self._error,
            }
        )

        self._produce = self.client.produce

    def _failed(self, error: KafkaError | None, _message: object) -> None:
        """A message that will never arrive: the first of each reason is told at once, all are counted."""
        if error is not None and error.code() in _PURGED:
            self._dropped += 1
        elif error is not None:
            self.count_failure(error)

    def count_failure(self, error: KafkaError) -> None:
        """Count it by reason; the client's own end is told as such."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._error(error)
        reason = error.name()
        if reason not in self.failures:
            log.error("delivery failed", reason=reason, detail=error.str(), topic=self._topic)
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def _error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._refusal = f"Kafka at {self._address}: {error.str()}; the client can't go on, start the producer again"
        elif error.code() in _REFUSED:
            self._refusal = f"Kafka at {self._address}: {error.str()}; {_REFUSED[error.code()]}"
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.seen_away(self._last_problem or error.str())
        elif error.code() in _NO_CONNECTION:
            self._last_problem = error.str()  # of one broker: the others may well answer

    def seen_away(self, why: str) -> None:
        """Say it once, until the broker answers again."""
        self._health.not_ready(f"Kafka at {self._address} is away: {why}")
        if not self._away:
            self._away = True
            log.warning("waiting for the broker", broker=self._address, why=why, queued=len(self.client))

    def seen_answering(self) -> None:
        """The broker has acknowledged something, or told us of the topic."""
        self._health.ready()
        if self._away:
            self._away = False
            log.info("the broker answers again", broker=self._address)

    def offer(self, key: bytes, value: bytes) -> bool:
        """Queue a message; False if the queue is full. One that the client itself refuses counts as failed."""
        try:
            self._produce(self._topic, value, key)
        except BufferError:
            return False
        except KafkaException as exception:
            self.count_failure(exception.args[0])
        return True

    def give_up(self) -> int:
        """Drop what is still queued, which ends in nothing once all is delivered; returns how many messages it was."""
        self.client.purge()
        while self.client.poll(0.2):
            pass  # each message dropped reports itself; the queue's length would count other reports as well
        return self._dropped

    def poll(self, seconds: float = 0.0) -> None:
        """Let the client report.

        Raises:
            UserError: the broker refuses us for good, or the idempotent client met an error it can't recover from.
        """
        self.client.poll(seconds)
        self._health.tick()
        if self._refusal is not None:
            raise UserError(self._refusal)

    def wait_for_topic(self, stop: threading.Event) -> bool:
        """Wait until the broker knows the topic; False if `stop` came first. The migrate step makes the topic."""
        told = False
        for delay in delays(0.2, 2.0):
            if stop.is_set():
                return False
            self.poll()
            error = self._look_up()
            if error is None:
                self.poll()  # what it reported of the time before
                self.seen_answering()
                return True
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._health.not_ready(f"topic {self._topic} does not exist")
                if not told:
                    log.warning("waiting for the topic: run the migrate step", topic=self._topic, broker=self._address)
                told = True
            else:
                self._error(error)
                self.seen_away(self._last_problem or error.str())
            stop.wait(delay)
        raise AssertionError("delays never end")

    def _look_up(self) -> KafkaError | None:
        try:
            topics = self.client.list_topics(self._topic, timeout=LOOKUP_SECONDS).topics
            error: KafkaError | None = topics[self._topic].error
        except KafkaException as exception:
            error = exception.args[0]
        return error
