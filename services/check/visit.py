"""One visit that no other run of the check makes, as messages for the topic."""

import secrets
from dataclasses import dataclass

import msgspec

from services.common.event import Event
from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import RANDOM_BITS, compose

PAGE_PATH = "/clickstream-check"


@dataclass(frozen=True)
class Visit:
    """A session of page views, one each millisecond until `end_ms` (Unix time)."""

    session_id: str
    visitor_id: str
    end_ms: int
    events: int

    @classmethod
    def at(cls, end_ms: int, events: int) -> "Visit":
        """A new one."""
        session_id = compose(end_ms, secrets.randbits(RANDOM_BITS))
        return cls(session_id, f"check-{session_id}", end_ms, events)

    def messages(self) -> list[bytes]:
        """The events as JSON."""
        first_ms = self.end_ms - self.events + 1
        return [msgspec.json.encode(self._event(first_ms + number)) for number in range(self.events)]

    def _event(self, unix_ms: int) -> Event:
        return Event(
            event_id=compose(unix_ms, secrets.randbits(RANDOM_BITS)),
            event_time=rfc3339_ms(unix_ms),
            event_type="page_view",
            session_id=self.session_id,
            visitor_id=self.visitor_id,
            page_path=PAGE_PATH,
            device_type="other",
        )
