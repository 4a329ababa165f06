"""The producer's metrics, as Prometheus scrapes them."""

from prometheus_client import Counter, Gauge

EVENTS = Counter(
    "clickstream_producer_events", "Messages by outcome: delivered (acknowledged by the broker) or failed", ["outcome"]
)
BYTES = Counter("clickstream_producer_bytes", "Bytes of the messages handed to the client, before compression")
QUEUE = Gauge("clickstream_producer_queue_messages", "Messages that wait for the broker's acknowledgement")
TARGET_RATE = Gauge("clickstream_producer_target_rate", "Messages a second that are asked for; 0: as fast as possible")

for _outcome in ("delivered", "failed"):
    EVENTS.labels(_outcome)
