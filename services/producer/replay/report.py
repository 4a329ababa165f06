"""What became of every line: events, what was left out and why, bad lines by reason."""

from collections import Counter
from dataclasses import dataclass

import structlog

from services.producer.replay import looks

BAD_LINES_SHOWN = 10
DAY_MS = 86_400_000
OLD_DAYS = 400

log = structlog.stdlib.get_logger("producer")


class BadLineError(Exception):
    """A line that can't become a valid event; the reason names no address and no other personal data."""


@dataclass(slots=True)
class Tally:
    """Lines of one file; `sample` is number, reason and content of its first bad one."""

    lines: int = 0
    passed_over: int = 0
    bad: int = 0
    sample: tuple[int, str, bytes] = (0, "", b"")

    @property
    def rows(self) -> int:
        """Lines that should say something: no header, no empty line, not the rest of a row."""
        return self.lines - self.passed_over


class Report:
    """Counts of one replay. Every line is found to be an event, left out, bad, or passed over since it says nothing.

    `oldest_ms` is the oldest event's time, in milliseconds since 1970; `addresses`: visitors stand for IP addresses.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.found = 0
        self.events: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()
        self.hits: Counter[bool] = Counter()
        """Page views of public addresses (True) and of a network's own."""
        self.out_of_order = 0
        self.addresses = False
        self.oldest_ms: int | None = None
        self._files: dict[str, Tally] = {}

    def tally(self, file: str) -> Tally:
        """The counts of one file."""
        return self._files.setdefault(file, Tally())

    def line(self, tally: Tally) -> None:
        """Count a line that was read."""
        self.lines += 1
        tally.lines += 1

    def passes_over(self, tally: Tally, kind: str, lines: int = 1) -> None:
        """Count lines that say nothing themselves: `header`, `empty`, `continued` (the rest of a row)."""
        if lines:
            self.passed_over[kind] += lines
            tally.passed_over += lines

    def bad_line(self, file: str, number: int, reason: str, line: bytes = b"") -> None:
        """Count a bad line; the first few are logged with file and line number."""
        self.bad[reason] += 1
        tally = self.tally(file)
        tally.bad += 1
        if tally.bad == 1:
            tally.sample = (number, reason, line[: looks.LOOKED_AT_BYTES])
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

    def unaccounted(self) -> int:
        """Lines of which nothing is known; anything but 0 is a fault of a reader."""
        accounted = self.found + self.skipped.total() + self.bad.total() + self.passed_over.total()
        return self.lines - accounted

    def unreadable(self) -> str | None:
        """Of a file that is mostly bad lines: that it is, one of them, and what that looks like."""
        for file, tally in self._files.items():
            if tally.bad * 2 > tally.rows:
                number, reason, line = tally.sample
                return (
                    f"{file}: {tally.bad:,} of {tally.rows:,} lines could not be read. Line {number}: {reason}; "
                    f"it looks like {looks.like(line)}. The line: {looks.masked(line)}"
                )
        return None

    def advice(self, now_ms: int) -> list[str]:
        """What the user should know or do about data like this."""
        texts = []
        if self.oldest_ms is not None and now_ms - self.oldest_ms > OLD_DAYS * DAY_MS:
            texts.append(
                f"some events are older than {OLD_DAYS} days: the consumer must run with EVENT_RETENTION_DAYS=0, "
                "or it refuses them"
            )
        if self.hits[False] > self.hits[True]:
            texts.append(
                f"{self.hits[False]} page views came from addresses of a private network: if those are a proxy's, "
                "visitors are told apart by their browsers alone; have the server log X-Forwarded-For and name it in "
                "--log-format"
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
            "passed_over": dict(self.passed_over.most_common()),
        }
