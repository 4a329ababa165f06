"""Sessions: cut after 30 minutes without activity of a visitor of a site, where the data names none itself.

The same name in the same source is one session, in whatever order its events come and however far apart.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from services.common import uuid7
from services.common.event import UUID7_PATTERN
from services.producer.replay.times import EARLIEST_MS

IDLE_MS = 30 * 60_000
"""A pause of exactly 30 minutes still belongs to the session, a longer one ends it (as Google Analytics has it)."""

NAMED_MS = EARLIEST_MS
"""The time in the id of a session that the data names: always this one, whichever of its events comes first."""

_is_uuid7 = re.compile(UUID7_PATTERN).fullmatch


@dataclass(slots=True)
class _Open:
    session_id: str
    first_ms: int
    last_ms: int


class Sessions:
    """Session ids for events that come in the order of their times, or nearly.

    Holds only the visitors of the last 30 minutes of log time, so the state is bounded by traffic, not by the file.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._cut = _Recent(IDLE_MS)

    def session_id(self, visitor_id: str, time_ms: int, named: str | None = None, site: str | None = None) -> str:
        """The session of an event; `named` is the session id in the data, kept if it is a UUIDv7."""
        if named is not None:
            return named.lower() if _is_uuid7(named.lower()) else uuid7.derive(NAMED_MS, self._source, named)
        visitor = f"{visitor_id}\0{site or ''}"
        session = self._cut.touch(visitor, time_ms)
        if session is None:
            first_id = uuid7.derive(time_ms, self._source, f"{visitor}\0{time_ms}")
            session = _Open(first_id, time_ms, time_ms)
            self._cut.add(visitor, session)
        return session.session_id


class _Recent:
    """Open sessions by key, the longest untouched first."""

    def __init__(self, idle_ms: int) -> None:
        self._idle_ms = idle_ms
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def touch(self, key: str, time_ms: int) -> _Open | None:
        """The session that this moment belongs to, if it is open."""
        session = self._open.get(key)
        found = session is not None and not self._apart(session, time_ms)
        if session is not None and found:
            session.first_ms = min(session.first_ms, time_ms)
            session.last_ms = max(session.last_ms, time_ms)
            self._open.move_to_end(key)
        self._forget(time_ms)
        return session if found else None

    def add(self, key: str, session: _Open) -> None:
        self._open[key] = session
        self._open.move_to_end(key)

    def _apart(self, session: _Open, time_ms: int) -> bool:
        """Whether more than the idle time lies between; also before it, since late lines exist."""
        return time_ms - session.last_ms > self._idle_ms or session.first_ms - time_ms > self._idle_ms

    def _forget(self, time_ms: int) -> None:
        while self._open and self._apart(next(iter(self._open.values())), time_ms):
            self._open.popitem(last=False)
