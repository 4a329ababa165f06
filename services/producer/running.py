"""What both commands do around sending: logs, signals, health and metrics over HTTP, and the exit code."""

from collections.abc import Callable

from services.common import log, monitoring, shutdown
from services.producer import metrics
from services.producer.pacing import Pace, Rate
from services.producer.progress import Progress
from services.producer.sending import Sent, send
from services.producer.settings import SendingSettings
from services.producer.source import Source


def run(
    source: Source, settings: SendingSettings, pace: Pace, progress: Callable[[Progress], None] | None = None
) -> Sent:
    """Send a source as a service: until it ends, or SIGTERM or SIGINT come.

    Raises:
        UserError: the broker refuses us, or a message was not delivered.
    """
    logger = log.configure(settings, "producer")
    stop = shutdown.on_signal()
    health = monitoring.Health()
    metrics.TARGET_RATE.set(pace.per_second if isinstance(pace, Rate) else 0)
    server = monitoring.serve(settings.monitoring_port, health)
    logger.info(
        "started",
        broker=settings.kafka_bootstrap_servers,
        topic=settings.kafka_topic,
        monitoring_port=server.server_port,
    )
    try:
        sent = send(source, settings, stop, pace, progress, health=health)
    finally:
        server.shutdown()
        server.server_close()
    sent.require_all()
    return sent
