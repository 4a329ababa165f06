"""Something between a service and its server: further away by a delay, or silent without closing anything."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 65536


@dataclass
class Proxy:
    """Passes bytes on at `port`; each piece waits `delay_seconds` first, all of them while it is silent."""

    host: str
    server_port: int
    delay_seconds: float = 0.0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    speaks: threading.Event = field(default_factory=threading.Event)
    open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Until the listener is shut."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection((self.host, self.server_port))
                self.open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                time.sleep(self.delay_seconds)
                self.speaks.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(host: str, port: int, delay_seconds: float = 0.0) -> Iterator[Proxy]:
    """One that speaks at first."""
    running = Proxy(host, port, delay_seconds)
    running.speaks.set()
    thread = threading.Thread(target=running.serve, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.speaks.set()
        running.listener.shutdown(socket.SHUT_RDWR)
        running.listener.close()
        for end in running.open:
            end.close()
        thread.join(10)
