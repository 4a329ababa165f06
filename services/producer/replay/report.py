"""What became of every line: events, what was left out and why, bad lines by reason."""

from collections import Counter

import structlog

BAD_LINES_SHOWN = 10
DAY_MS = 86_400_000
OLD_DAYS = 400

log = structlog.stdlib.get_logger("producer")


class BadLineError(Exception):
    """A line that can't become a valid event; the reason names no address and no other personal data."""


class Report:
    """Counts of one replay.

    `oldest_ms` is the oldest event's time, in milliseconds since 1970; `addresses`: visitors stand for IP addresses.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.events: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.out_of_order = 0
        self.addresses = False
        self.oldest_ms: int | None = None

    def bad_line(self, file: str, number: int, reason: str) -> None:
        """Count a bad line; the first few are logged with file and line number."""
        self.bad[reason] += 1
        shown = self.bad.total()
        if shown <= BAD_LINES_SHOWN:
            log.warning("bad line", file=file, line=number, reason=reason)
        if shown == BAD_LINES_SHOWN:
            log.warning("further bad lines are only counted")

    def event(self, event_type: str, time_ms: int) -> None:
        """Count an event on its way to the topic."""
        self.events[event_type] += 1
        if self.oldest_ms is None or time_ms < self.oldest_ms:
            self.oldest_ms = time_ms

    def advice(self, now_ms: int) -> list[str]:
        """What the user should know or do about data like this."""
        texts = []
        if self.oldest_ms is not None and now_ms - self.oldest_ms > OLD_DAYS * DAY_MS:
            texts.append(
                f"some events are older than {OLD_DAYS} days: the consumer must run with EVENT_RETENTION_DAYS=0, "
                "or it refuses them"
            )
        if self.out_of_order:
            texts.append(
                f"{self.out_of_order} events came minutes after later ones: "
                "sort the file by time if sessions look cut in pieces"
            )
        return texts

    def as_dict(self) -> dict[str, object]:
        """All counts, for a structured log line."""
        return {
            "lines": self.lines,
            "events": self.events.total(),
            "events_by_type": dict(self.events.most_common()),
            "skipped": dict(self.skipped.most_common()),
            "bad_lines": self.bad.total(),
            "bad_lines_by_reason": dict(self.bad.most_common()),
        }
