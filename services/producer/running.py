"""What both commands do around sending: logs, signals, health and metrics over HTTP, and the exit code."""

import contextlib
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
    log.configure(settings, "producer")
    stop = shutdown.on_signal()
    health = monitoring.Health()
    metrics.TARGET_RATE.set(pace.per_second if isinstance(pace, Rate) else 0)
    with contextlib.closing(_Server(settings.monitoring_port, health)):
        sent = send(source, settings, stop, pace, progress, health=health)
    sent.require_all()
    return sent


class _Server:
    """The HTTP server, closed for good at the end."""

    def __init__(self, port: int, health: monitoring.Health) -> None:
        self._server = monitoring.serve(port, health)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
