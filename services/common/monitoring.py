"""Health and metrics over HTTP: /healthz (alive), /readyz (able to work now) and /metrics (Prometheus)."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common.errors import UserError


class Health:
    """Alive while the main loop ticks; ready while nothing says why not.

    A dependency that is away makes a service not ready, never dead: a restart would not bring it back. So does one that
    gives no answer, and no word of the main loop is needed for it: that waits.
    """

    def __init__(self, stall_seconds: float = 60.0, answer_seconds: float = 5.0) -> None:
        self._stall_seconds = stall_seconds
        self._answer_seconds = answer_seconds
        self._waits: tuple[str, float] | None = None
        self._ticked_at = time.monotonic()
        self._not_ready: str | None = "starting"

    def tick(self) -> None:
        """The main loop has come round."""
        self._ticked_at = time.monotonic()

    def ready(self) -> None:
        """All that the service needs answers."""
        self._not_ready = None

    def not_ready(self, reason: str) -> None:
        """The service can't do its work now, and why."""
        self._not_ready = reason

    def waits_for(self, dependency: str) -> None:
        """The main loop asks it now, and goes on when it answers; the caller sees to it that this ends."""
        self._waits = (dependency, time.monotonic())

    def has_answer(self) -> None:
        """The main loop goes on."""
        self._waits = None
        self.tick()

    def liveness(self) -> tuple[int, str]:
        """HTTP status and text for /healthz."""
        idle = time.monotonic() - self._ticked_at if self._waits is None else 0.0
        return (200, "ok") if idle < self._stall_seconds else (503, f"main loop has not come round for {idle:.0f} s")

    def readiness(self) -> tuple[int, str]:
        """HTTP status and text for /readyz."""
        reason = self._not_ready
        if (waits := self._waits) is not None and (waited := time.monotonic() - waits[1]) > self._answer_seconds:
            reason = f"{waits[0]}: no answer for {waited:.0f} s"
        return (200, "ok") if reason is None else (503, reason)


def serve(port: int, health: Health) -> ThreadingHTTPServer:
    """Answer on every address in a daemon thread; port 0 lets the kernel choose one.

    Raises:
        UserError: the port is taken.
    """
    routes: dict[str, Callable[[], tuple[int, str]]] = {"/healthz": health.liveness, "/readyz": health.readiness}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            elif path in routes:
                status, text = routes[path]()
                self._answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"try /healthz, /readyz or /metrics\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
            """Probes come every few seconds: not worth a line each."""

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise UserError(f"MONITORING_PORT={port}: {error.strerror}; choose another, or 0 for any free one") from None
    threading.Thread(target=server.serve_forever, name="monitoring", daemon=True).start()
    return server
