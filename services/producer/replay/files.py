"""Lines of plain or gzipped files: as a stream, with numbers, and never more than one line in memory."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from services.common.errors import UserError

LINE_MAX_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 17
_GZIP_MAGIC = b"\x1f\x8b"


class InputFile:
    """A file to replay; gzip is recognised by its content, not by its name."""

    def __init__(self, path: Path) -> None:
        """Check that the file can be read.

        Raises:
            UserError: it does not exist, is a directory or is not readable.
        """
        self.path = path
        try:
            self.size_bytes = path.stat().st_size
            self._open().close()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or 'not a readable file'}") from None
        self.position_bytes = 0
        """How much of the file, as it lies on the disk, has been read."""

    def _open(self) -> BinaryIO:
        return self.path.open("rb", buffering=_BUFFER_BYTES)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number (from 1) and content of each line, without its end; one that is too long comes cut to the limit + 1.

        Raises:
            UserError: the gzip data is damaged or ends early.
        """
        number = 0
        with self._open() as raw:
            stream = _unpacked(raw)
            try:
                while line := stream.readline(LINE_MAX_BYTES + 1):
                    number += 1
                    if not number & 1023:
                        self.position_bytes = raw.tell()
                    if len(line) > LINE_MAX_BYTES and not line.endswith(b"\n"):
                        _skip_to_line_end(stream)
                    yield number, line.rstrip(b"\r\n")
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UserError(f"{self.path}: gzip data damaged after line {number}: {error}") from None
            except OSError as error:
                raise UserError(f"{self.path}: {error.strerror or error} after line {number}") from None
            self.position_bytes = raw.tell()


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """The stream itself, or what it holds when it is gzipped."""
    magic = raw.read(len(_GZIP_MAGIC))
    raw.seek(0)
    # Not buffered again: of a damaged file a buffer would swallow what could still be read.
    return raw if magic != _GZIP_MAGIC else cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))


def _skip_to_line_end(stream: BinaryIO) -> None:
    while (part := stream.readline(_BUFFER_BYTES)) and not part.endswith(b"\n"):
        pass
