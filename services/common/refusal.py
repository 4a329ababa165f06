"""Why a server lets nobody in, as SQLSTATE: libpq hands out the text alone, in the server's language."""

import os
import re
import select
import time

import psycopg
from psycopg import pq

_CODE = re.compile(r"\tErrorResponse\t.*? C \"([0-9A-Z]{5})\"")
_ENDED = (pq.PollingStatus.OK, pq.PollingStatus.FAILED)


def sqlstate(conninfo: str, seconds: float) -> str | None:
    """Log in once more and read the server's answer in libpq's trace; None where it gave none, or without Linux.

    The trace holds what the password is proved by, so it never becomes a file.
    """
    if not hasattr(os, "memfd_create"):
        return None
    with os.fdopen(os.memfd_create("login"), encoding="utf-8", errors="replace") as trace:
        login = pq.PGconn.connect_start(conninfo.encode())
        try:
            login.trace(trace.fileno())
            _wait(login, time.monotonic() + seconds)
            login.untrace()
        except psycopg.Error:  # an older libpq has no trace
            return None
        finally:
            login.finish()
        trace.seek(0)
        codes = _CODE.findall(trace.read())
    return codes[-1] if codes else None


def _wait(login: pq.abc.PGconn, deadline: float) -> None:
    while (step := login.connect_poll()) not in _ENDED and (left := deadline - time.monotonic()) > 0:
        reads = [login.socket] if step == pq.PollingStatus.READING else []
        writes = [login.socket] if step == pq.PollingStatus.WRITING else []
        select.select(reads, writes, [], left)
