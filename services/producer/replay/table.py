"""CSV as a stream of rows: with a header line, or with `--columns` in its place.

A quote that is never closed would swallow the rows behind it. So lines are joined to a row only as long as that can be
meant; else its first line is a bad row, and the others are read as rows of their own.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from services.common.errors import UserError
from services.producer.replay.files import LINE_MAX_BYTES, InputFile, Line
from services.producer.replay.ordering import Found
from services.producer.replay.report import BadLineError, Report

Row = dict[str, str]
ROW_MAX_LINES = 200
_DELIMITERS = ",;\t|"
_STRAY_QUOTE = "a quote that is not closed, or not doubled within quotes"


class RowReader(Protocol):
    """Makes an event of a row."""

    def __call__(self, row: Row) -> Found | None:
        """The event, or None of a row that is counted as left out."""

    def has_time(self, row: Row) -> bool:
        """Whether the row has a time where it should."""


@dataclass(frozen=True)
class Layout:
    """Names of the columns, in their order, and what stands between them; `has_header`: the first line names them."""

    names: list[str]
    delimiter: str
    has_header: bool = True


def layout(file: InputFile, columns: str = "", delimiter: str = "") -> Layout:
    """How a file's rows are laid out; without a given delimiter, the one its first line has most of.

    Raises:
        UserError: the file has no header, and no columns are given.
    """
    first = next((line for line in file.head() if line), b"").decode("utf-8", "replace")
    delimiter = delimiter or max(_DELIMITERS, key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    if columns:
        given = [name.strip() for name in columns.split(",")]
        return Layout(given, delimiter, has_header=names == given)
    if not any(names):
        raise UserError(f"{file.path}: the first line must be a header that names the columns, or say --columns")
    return Layout(names, delimiter)


@dataclass
class Reader:
    """Events of a file's lines, the header among them."""

    file: str
    layout: Layout
    report: Report
    to_event: RowReader
    _returned: deque[Line] = field(default_factory=deque)

    def read(self, lines: Iterator[Line]) -> Iterator[Found]:
        """Each row's event; every line is counted."""
        tally = self.report.tally(self.file)
        header = self.layout.has_header
        while (line := self._next(lines)) is not None:
            number, content = line
            self.report.line(tally)
            if not content or header:
                header = header and not content
                self.report.passes_over(tally, "header" if content else "empty")
                continue
            try:
                found, more = self._row(content, lines)
            except BadLineError as error:
                self.report.bad_line(self.file, number, str(error), content)
                continue
            for _ in range(more):
                self.report.line(tally)
            self.report.passes_over(tally, "continued", more)
            if found is not None:
                self.report.found += 1
                yield found

    def _next(self, lines: Iterator[Line]) -> Line | None:
        return self._returned.popleft() if self._returned else next(lines, None)

    def _row(self, content: bytes, lines: Iterator[Line]) -> tuple[Found | None, int]:
        """What the row says that begins with this line, and how many lines more it has; if none, they are returned."""
        if len(content) > LINE_MAX_BYTES:
            raise BadLineError("longer than 1 MiB")
        fields = self._fields(content)
        joined: list[Line] = []
        try:
            while fields is None:
                self._join(joined, lines)
                content += b"\n" + joined[-1][1]
                fields = self._fields(content)
            row = self._named(fields)
            return self.to_event(row), len(joined)
        except BadLineError:
            self._returned.extendleft(reversed(joined))
            raise

    def _join(self, joined: list[Line], lines: Iterator[Line]) -> None:
        """Take the next line for the rest of a row, unless it is a row of its own."""
        line = self._next(lines)
        if line is None:
            raise BadLineError(_STRAY_QUOTE)
        joined.append(line)
        if len(joined) >= ROW_MAX_LINES or len(line[1]) > LINE_MAX_BYTES or self._is_row(line[1]):
            raise BadLineError(_STRAY_QUOTE)

    def _is_row(self, content: bytes) -> bool:
        """Whether the line would be a row by itself, whatever its own quotes mean."""
        text = content.decode("utf-8", "replace")
        bare = [part.strip('"') for part in text.split(self.layout.delimiter)]
        try:
            quoted = next(csv.reader([text], delimiter=self.layout.delimiter), [])
        except csv.Error:
            quoted = []
        names = self.layout.names
        return any(
            len(fields) == len(names) and self.to_event.has_time(dict(zip(names, fields, strict=True)))
            for fields in (bare, quoted)
        )

    def _fields(self, content: bytes) -> list[str] | None:
        """The fields; None if a quote is still open."""
        text = content.decode("utf-8", "surrogateescape")
        if '"' not in text:
            return text.split(self.layout.delimiter)
        try:
            return next(csv.reader([text], delimiter=self.layout.delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                return None
            raise BadLineError(_STRAY_QUOTE if "expected after" in str(error) else f"not CSV: {error}") from None

    def _named(self, fields: list[str]) -> Row:
        if len(fields) != len(self.layout.names):
            raise BadLineError("not as many fields as the header has")
        try:
            "".join(fields).encode()
        except UnicodeEncodeError:
            raise BadLineError("not UTF-8") from None
        return dict(zip(self.layout.names, fields, strict=True))
