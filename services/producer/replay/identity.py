"""Who and which: pseudonyms instead of addresses, and ids that come out the same on every replay."""

import hmac
import re
from collections import OrderedDict
from functools import lru_cache

from services.common import uuid7
from services.common.event import UUID7_PATTERN
from services.producer.replay import clients
from services.producer.replay.report import DAY_MS

PSEUDONYM_MAX_LENGTH = 64
_MINUTES_REMEMBERED = 16
_is_uuid7 = re.compile(UUID7_PATTERN).fullmatch


class Pseudonyms:
    """Keyed hashes (HMAC-SHA256, 128 bits) that stand for a visitor; without the key nobody gets back by trying."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self.of = lru_cache(maxsize=65_536)(self.digest)

    def digest(self, *identity: str) -> str:
        """The pseudonym of an address and a user agent, of an e-mail address, …; `of` remembers the last ones."""
        text = "\0".join(identity).encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, "sha256")[:16].hex()

    def unless_harmless(self, identity: str) -> str:
        """An id of the data's own as it is, or its pseudonym if it is an e-mail or IP address or too long."""
        if is_address(identity):
            return self.of(clients.first_of(identity) or identity)
        if len(identity) > PSEUDONYM_MAX_LENGTH or "@" in identity:
            return self.of(identity)
        return identity


def is_address(text: str) -> bool:
    """Whether the text is an IP address, or a list of them, also with ports or zones."""
    return ("." in text or ":" in text) and clients.first_of(text) is not None


class EventIds:
    """UUIDv7 of events from elsewhere.

    A line without an id of its own is known by its content; the second of two identical lines of a file is another
    event than the first. Identical lines carry the same time, so only the last minutes of the file are remembered.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: OrderedDict[int, dict[str, int]] = OrderedDict()

    def of_foreign(self, time_ms: int, foreign_id: str) -> str:
        """The id itself if it is a UUIDv7 whose time is the event's to the day, else one derived from it.

        The consumer refuses an id whose day partition has nothing to do with the time of the event.
        """
        given = foreign_id.lower()
        if _is_uuid7(given) and abs(uuid7.unix_ms(given) - time_ms) < DAY_MS:
            return given
        return uuid7.derive(time_ms, self._source, foreign_id)

    def of_line(self, time_ms: int, content: str) -> str:
        """The id of the event that a line tells of."""
        first = uuid7.derive(time_ms, self._source, f"0\0{content}")
        seen = self._of_minute(time_ms // 60_000)
        count = seen.get(first, 0)
        seen[first] = count + 1
        return uuid7.derive(time_ms, self._source, f"{count}\0{content}") if count else first

    def _of_minute(self, minute: int) -> dict[str, int]:
        seen = self._seen.get(minute)
        if seen is None:
            seen = self._seen[minute] = {}
            if len(self._seen) > _MINUTES_REMEMBERED:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(minute)
        return seen
