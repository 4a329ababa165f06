"""The replay as a source: files in, messages out, in the order of their times and with their own times."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Literal

import msgspec

from services.common import sites
from services.common.errors import UserError
from services.producer.replay import logformat, ndjson, rows, table, weblog
from services.producer.replay.files import LINE_MAX_BYTES, InputFile
from services.producer.replay.identity import EventIds, Pseudonyms
from services.producer.replay.mapping import Mapping
from services.producer.replay.ordering import Found, in_order
from services.producer.replay.report import BadLineError, Report
from services.producer.replay.sessions import Sessions
from services.producer.replay.views import Views
from services.producer.site import Site
from services.producer.source import Message

_tells_of_a_request = re.compile(
    rb'"(?:request|status|DownstreamStatus|response_code|EdgeResponseStatus|log)"\s*:'
).search
Format = Literal["log", "ndjson", "csv"]


@dataclass(frozen=True)
class Options:
    """How files are read. `source` and `site` are part of every derived id; `site` is that of events that name none.

    `log_format` is that of a web server's log. `columns` names those of CSV without a header, and `delimiter` is what
    stands between them.
    """

    mapping: Mapping
    format: Format | None = None
    log_format: str = ""
    columns: str = ""
    delimiter: str = ""
    source: str = "replay"
    site: Site | None = None
    keep_bots: bool = False
    visitor_key: str = ""

    @property
    def namespace(self) -> str:
        """What ids are derived in: the same line of two servers, or of two sites, is two events."""
        return self.source if self.site is None else f"{self.source}\0{self.site.name}"


class Replay:
    """Messages of one or more files, merged by time; a visitor's session goes on from one file to the next.

    `stop`, once set, ends it soon. After the last message `failure` says why a file could not be read to its end.
    """

    def __init__(self, files: list[InputFile], options: Options, report: Report) -> None:
        """See that the files can be read as the options want it, before anything is sent.

        Raises:
            UserError: the mapping doesn't fit a CSV file, or there is none for it; `--map` without a CSV file.
        """
        self._files = files
        self._options = options
        self._report = report
        self._pseudonyms = Pseudonyms(options.visitor_key)
        self._formats = {file: options.format or format_of(file) for file in files}
        self._layouts = {
            file: table.layout(file, options.columns, options.delimiter)
            for file in files
            if self._formats[file] == "csv"
        }
        self._templates = {
            file: options.mapping.for_header(layout.names, str(file.path)) for file, layout in self._layouts.items()
        }
        if options.mapping.fields and not self._templates:
            raise UserError("--map is for CSV files; if these are, say --format csv")
        self._log_format = logformat.compiled(options.log_format) if options.log_format else None
        self.stop = threading.Event()
        for file in files:
            file.stopped = self._stopped
        self.failure: UserError | None = None

    def __iter__(self) -> Iterator[Message]:
        encode = msgspec.json.Encoder().encode
        sessions, site = Sessions(self._options.namespace), self._options.site
        streams = [in_order(self._found(file), self._report) for file in self._files]
        for time_ms, event, named in merge(*streams, key=lambda found: found.time_ms):
            if event.site is None and site is not None:
                event.site = site.name
            seen_on = sites.of_event(event.site, event.page_url)
            event.session_id = sessions.session_id(event.visitor_id, time_ms, named, seen_on)
            self._report.event(event.event_type, time_ms)
            yield Message(time_ms, event.visitor_id.encode(), encode(event))
        if unaccounted := self._report.unaccounted():
            self.failure = self.failure or UserError(
                f"{unaccounted} lines are neither events nor left out nor bad: a fault of replay's own: report it"
            )

    def _found(self, file: InputFile) -> Iterator[Found]:
        options, report, ids = self._options, self._report, EventIds(self._options.namespace)
        if file in self._templates:
            read_row = rows.Reader(
                self._templates[file], options.mapping.events, ids, self._pseudonyms, report, options.keep_bots
            )
            return table.Reader(str(file.path), self._layouts[file], report, read_row).read(self._lines(file))
        if self._formats[file] == "ndjson":
            return self._by_line(file, ndjson.Reader(ids))
        views = Views(ids, self._pseudonyms, report, options.site, options.keep_bots)
        return self._by_line(file, weblog.Reader(views, self._log_format))

    def _by_line(self, file: InputFile, read: "weblog.Reader | ndjson.Reader") -> Iterator[Found]:
        report, tally = self._report, self._report.tally(str(file.path))
        for number, line in self._lines(file):
            report.line(tally)
            if not line:
                report.passes_over(tally, "empty")
                continue
            try:
                if len(line) > LINE_MAX_BYTES:
                    raise BadLineError("longer than 1 MiB")
                if read.says_nothing(line):
                    report.passes_over(tally, "header")
                    continue
                found = read(line)
            except BadLineError as error:
                report.bad_line(str(file.path), number, str(error), line)
            else:
                if found is not None:
                    report.found += 1
                    yield found

    def _stopped(self) -> bool:
        return self.stop.is_set()

    def _lines(self, file: InputFile) -> Iterator[tuple[int, bytes]]:
        try:
            for number_and_line in file.lines():
                if self.stop.is_set():
                    return
                yield number_and_line
        except UserError as error:  # what was read before, and the other files, are still to be delivered
            if not self.stop.is_set():
                self.failure = self.failure or error


def format_of(file: InputFile) -> Format:
    """The format that a file's name tells of; a web server's log if none, but for our own events as JSON."""
    name = file.path.name.lower()
    for packed in (".gz", ".bz2", ".xz", ".zst"):
        name = name.removesuffix(packed)
    if name.endswith((".csv", ".tsv")):
        return "csv"
    objects = [line for line in file.head() if line.startswith(b"{")]
    if any(b'"event_time"' in line or b'"visitor_id"' in line for line in objects):
        return "ndjson"
    logged = any(_tells_of_a_request(line) for line in objects)
    return "ndjson" if name.endswith((".ndjson", ".jsonl", ".json")) and not logged else "log"
