"""CSV files with a header line, as a stream of rows."""

import csv
from collections.abc import Callable, Iterator

from services.common.errors import UserError
from services.producer.replay.files import InputFile
from services.producer.replay.ordering import Found
from services.producer.replay.report import BadLineError, Report

Row = dict[str, str]
RowReader = Callable[[Row], Found | None]


def header(file: InputFile) -> list[str]:
    """The names of the columns.

    Raises:
        UserError: there are none.
    """
    return _header(file, next((line for _, line in file.lines()), b""))[0]


def read(file: InputFile, lines: Iterator[bytes], report: Report, to_event: RowReader) -> Iterator[Found]:
    """Events of a file's lines, the header among them."""
    report.lines += 1
    names, delimiter = _header(file, next(lines, b""))
    rows = csv.reader((line.decode("utf-8", "surrogateescape") + "\n" for line in lines), delimiter=delimiter)
    while True:
        lines_before = rows.line_num
        try:
            row = next(rows)
            found = to_event(_named(names, row)) if row else None
        except StopIteration:
            return
        except (BadLineError, csv.Error) as error:
            # Line 1 is the header; a row with a line break in quotes is told by its last line.
            report.bad_line(str(file.path), rows.line_num + 1, _reason(error))
        else:
            if found is not None:
                yield found
        finally:
            report.lines += rows.line_num - lines_before


def _header(file: InputFile, line: bytes) -> tuple[list[str], str]:
    """Column names and delimiter: the one of comma, semicolon, tab and bar that the line has most of."""
    text = line.decode("utf-8", "replace").removeprefix("\ufeff")
    delimiter = max(",;\t|", key=text.count)
    names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter), [])]
    if not any(names):
        raise UserError(f"{file.path}: the first line must be a header that names the columns")
    return names, delimiter


def _named(names: list[str], row: list[str]) -> Row:
    if len(row) != len(names):
        raise BadLineError("not as many fields as the header has")
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        raise BadLineError("not UTF-8") from None
    return dict(zip(names, row, strict=True))


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, BadLineError) else f"not CSV: {error}"
