"""Whether the broker answers, told once when that changes."""

from confluent_kafka import KafkaError
from msgspec import json

from services.common.log import Logger
from services.consumer import metrics

# What is said while the broker, or the topic, is on its way: librdkafka goes on trying.
_PASSING = (
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
)


def will_pass(error: KafkaError) -> bool:
    """Whether waiting helps."""
    return error.code() in _PASSING or error.retriable()


class BrokerWatch:
    """`problem` is why there is nothing to read, or None while a broker answers."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._told = False
        self.problem: str | None = "not connected to the broker yet"

    def answers(self) -> None:
        """A request was answered."""
        if self._told:
            self._log.info("the broker answers again")
        self._told, self.problem = False, None

    def is_away(self, problem: str) -> None:
        """What we asked for failed, and will pass."""
        metrics.retry("broker")
        self._tell(problem)

    def on_error(self, error: KafkaError) -> None:
        """Librdkafka's error_cb: one connection of many, perhaps, so it is no retry of ours yet."""
        self._tell(error.str())

    def _tell(self, problem: str) -> None:
        if not self._told:
            self._log.warning("waiting for the broker", reason=problem)
            self._told = True
        self.problem = problem

    def on_statistics(self, text: str) -> None:
        """Librdkafka's stats_cb: on an idle topic the only sign that a broker is back, or that it is not yet."""
        if any(broker["state"] == "UP" for broker in json.decode(text)["brokers"].values()):
            self.answers()
        else:
            metrics.retry("broker")
