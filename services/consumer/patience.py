"""How long a call to PostgreSQL may go unanswered: the connection under one that hangs is cut, so that it fails.

A server that is frozen, or a proxy that has gone silent, closes nothing: a call would wait for ever. A slow server that
works must not be disturbed, so another session is asked first whether ours is at work.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from services.common.log import Logger
from services.common.monitoring import Health
from services.common.postgres import Connection, connect_pooled
from services.common.settings import PostgresSettings

# Unanswered for so long, another session asks; at the limit it ends in any case, for a frozen session seems at work.
ASK_SECONDS = 10.0
LIMIT_SECONDS = 120.0
_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 3.0
_LOOK_SECONDS = 0.5
_IS_AT_WORK: LiteralString = """
SELECT state = 'active' OR state_change > clock_timestamp() - interval '5 s'
FROM pg_stat_activity
WHERE pid = %s
"""


@dataclass
class _Call:
    connection: Connection
    since: float = field(default_factory=time.monotonic)
    asked_at: float = 0.0


class Patience:
    """Watches the calls of one thread; `stop` makes it impatient."""

    def __init__(self, settings: PostgresSettings, health: Health, log: Logger, stop: threading.Event) -> None:
        self._settings = settings
        self._health = health
        self._log = log
        self._stop = stop
        self._where = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}/{settings.postgres_database}"
        self._lock = threading.Lock()
        self._current: _Call | None = None
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    @contextmanager
    def call(self, connection: Connection) -> Iterator[None]:
        """Within the block the connection may be cut, which raises psycopg.OperationalError."""
        with self._lock:
            self._current = _Call(connection)
        self._health.waits_for(self._where)
        try:
            yield
        finally:
            self._health.has_answer()
            with self._lock:
                self._current = None

    def goes_on(self) -> None:
        """The call has come a step further."""
        if self._current is not None:
            self._current.since = time.monotonic()
            self._health.waits_for(self._where)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            call = self._current
            if call is not None and self._is_hopeless(call):
                self._cut(call)

    def _is_hopeless(self, call: _Call) -> bool:
        now = time.monotonic()
        waited = now - call.since
        if waited > LIMIT_SECONDS or (self._stop.is_set() and waited > _STOP_SECONDS):
            return True
        if waited < ASK_SECONDS or now < call.asked_at + ASK_SECONDS:
            return False
        call.asked_at = now
        return not self._is_at_work(call.connection)

    def _is_at_work(self, asked: Connection) -> bool:
        """Whether the server answers, and does not say that the session waits for us. It knows no pooler's pids."""
        try:
            session = connect_pooled(self._settings, "patience", autocommit=True)
            with session, _at_most(_ANSWER_SECONDS, session):
                return session.execute(_IS_AT_WORK, [asked.info.backend_pid]).fetchone() in (None, (True,))
        except psycopg.Error:
            return False

    def _cut(self, call: _Call) -> None:
        with self._lock:
            if self._current is not call or call.connection.closed:
                return
            _shut(call.connection)
        self._log.warning("PostgreSQL does not answer: connection cut", seconds=round(time.monotonic() - call.since))


@contextmanager
def _at_most(seconds: float, session: Connection) -> Iterator[None]:
    timer = threading.Timer(seconds, _shut, [session])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _shut(connection: Connection) -> None:
    """Both directions, under a call that another thread waits in: it finds the connection closed by the peer."""
    # It may just have ended by itself.
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as under:
        under.shutdown(socket.SHUT_RDWR)
