"""Builders for the tests of replay: log lines, files, and what a replay makes of them."""

import bz2
import gzip
import lzma
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from services.common.event import Event
from services.consumer.faults import Invalid
from services.consumer.limits import Limits
from services.consumer.validation import Row, Validator
from services.producer.replay import mapping
from services.producer.replay.files import InputFile
from services.producer.replay.report import Report
from services.producer.replay.source import Options, Replay
from services.producer.source import Message

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}
REAL_LOG = Path(__file__).parent / "data" / "access.log"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def log_line(
    time: str = "17/May/2015:10:05:03 +0000",
    *,
    address: str = "192.0.2.1",
    request: str = "GET /page HTTP/1.1",
    status: int = 200,
    referrer: str = "-",
    agent: str = FIREFOX,
    before: str = "",
    after: str = "",
) -> str:
    """A line of the Combined Log Format."""
    return f'{before}{address} - - [{time}] "{request}" {status} 512 "{referrer}" "{agent}"{after}'


@dataclass(frozen=True)
class Replayed:
    """What came out: messages, and the same as events; the report."""

    messages: list[Message]
    report: Report
    replay: Replay

    @property
    def events(self) -> list[Event]:
        """The events as any consumer decodes them."""
        return [msgspec.json.decode(message.value, type=Event) for message in self.messages]

    @property
    def event(self) -> Event:
        """The only one."""
        (event,) = self.events
        return event

    @property
    def paths(self) -> list[str]:
        """Page paths in the order in which they are sent."""
        return [event.page_path for event in self.events]

    @property
    def ids(self) -> list[tuple[str, str, str]]:
        """All that identifies the events."""
        return [(event.event_id, event.session_id, event.visitor_id) for event in self.events]


def replay_files(
    *files: Path, maps: list[str] | None = None, events: list[str] | None = None, **options: Any
) -> Replayed:
    """Replay files; whatever is sent, the consumer's own validation must take."""
    report = Report()
    given = mapping.parse(",".join(maps or []), ",".join(events or []))
    replay = Replay([InputFile(file) for file in files], Options(given, **options), report)
    messages = list(replay)
    validated(messages)
    assert report.events.total() == report.found == len(messages)
    assert report.unaccounted() == 0, "lines = events + left out + bad + passed over"
    return Replayed(messages, report, replay)


def validated(messages: list[Message]) -> list[Row]:
    """The rows that the consumer makes of them."""
    limits = Limits.at(datetime.now(UTC), retention_days=0, max_bytes=1 << 20)
    rows = Validator().check([message.value for message in messages], limits, 1)
    for row in rows:
        assert not isinstance(row, Invalid), row
    return rows


def replay_lines(folder: Path, *lines: str | bytes, name: str = "access.log", **options: Any) -> Replayed:
    """Replay a file of these lines."""
    return replay_files(write(folder / name, *lines), **options)


def write(file: Path, *lines: str | bytes) -> Path:
    """A file of these lines, packed if its name says so."""
    content = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(PACKERS.get(file.suffix, bytes)(content))
    return file


def views(replayed: Replayed) -> Counter[str]:
    """Page views by path."""
    return Counter(replayed.paths)
