"""Lines of files and pipes: as a stream, with numbers, and never more than one line in memory."""

import io
import select
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from services.common.errors import UserError
from services.producer.replay import streams

LINE_MAX_BYTES = 1 << 20
STDIN = Path("-")
_HEAD_LINES = 5
_LOOK_SECONDS = 0.2
Line = tuple[int, bytes]


class InputFile:
    """A file to replay, or a pipe (`-` is standard input), which can be read only once.

    gzip, bzip2, xz and zstd, UTF-16 and ends of lines are recognised by their content.
    """

    def __init__(self, path: Path) -> None:
        """Check that the file can be read.

        Raises:
            UserError: it does not exist, is a directory, is not readable, or is packed in a way that isn't known.
        """
        self.path = path
        self.size_bytes = 0
        """0: nobody knows, since it is a pipe."""
        self.position_bytes = 0
        """How much of the file, as it lies on the disk, has been read."""
        self.stopped: Callable[[], bool] = lambda: False
        """Asked while a pipe has nothing to say: True ends it."""
        try:
            self._once = path == STDIN or path.is_fifo() or path.is_char_device()
            self.size_bytes = 0 if self._once else path.stat().st_size
            self._head: list[Line] = []
            self._reading: Iterator[Line] | None = self._read(self._open())
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or 'not a readable file'}") from None

    def _open(self) -> streams.Counted:
        raw = io.FileIO(0, closefd=False) if self.path == STDIN else io.FileIO(self.path)
        return streams.Counted(raw, self._wait)

    def _wait(self, raw: io.FileIO) -> bool:
        while self._once and not select.select([raw], [], [], _LOOK_SECONDS)[0]:
            if self.stopped():
                return False
        return True

    def head(self) -> list[bytes]:
        """The first lines; they will be read again. Fewer, or none, if the file is damaged."""
        if self._reading is not None and not self._head:
            self._head = list(self._until_damaged(self._reading))
        return [line for _, line in self._head]

    def _until_damaged(self, reading: Iterator[Line]) -> Iterator[Line]:
        try:
            yield from islice(reading, _HEAD_LINES)
        except UserError as error:
            self._reading = _raising(error)

    def lines(self) -> Iterator[Line]:
        """Number (from 1) and content of each line, without its end; one that is too long comes cut to the limit + 1.

        Raises:
            UserError: the packed data is damaged or ends early; or a pipe is to be read a second time.
        """
        if self._reading is not None:
            reading, self._reading = chain(self._head, self._reading), None
            return reading
        if self._once:
            raise UserError(f"{self.path}: a pipe can be read only once")
        return self._read(self._open())

    def _read(self, counted: streams.Counted) -> Iterator[Line]:
        streams.refuse_packed(counted.head, str(self.path))
        return self._numbered(counted)

    def _numbered(self, counted: streams.Counted) -> Iterator[Line]:
        number = 0
        damaged = f"{self.path}: {streams.packing(counted.head)} data damaged after line"
        try:
            stream = streams.as_utf8(streams.unpacked(counted))
            while line := _line(stream):
                number += 1
                if not number & 1023:
                    self.position_bytes = counted.position_bytes
                yield number, line.rstrip(b"\r\n").lstrip(b"\0")
        except streams.DAMAGED as error:
            raise UserError(f"{damaged} {number}: {error}") from None
        except OSError as error:
            if error.errno is None:  # bz2 has no error of its own
                raise UserError(f"{damaged} {number}: {error}") from None
            raise UserError(f"{self.path}: {error.strerror or error} after line {number}") from None
        self.position_bytes = counted.position_bytes


def _line(stream: BinaryIO) -> bytes:
    """The next line, cut at the limit; NULs in front are what a truncated log leaves behind, however many."""
    line = stream.readline(LINE_MAX_BYTES + 1)
    while len(line) > LINE_MAX_BYTES and not line.strip(b"\0"):
        line = stream.readline(LINE_MAX_BYTES + 1)
    rest = line
    while len(rest) > LINE_MAX_BYTES and not rest.endswith(b"\n"):
        rest = stream.readline(LINE_MAX_BYTES + 1)
    return line


def _raising(error: UserError) -> Iterator[Line]:
    raise error
    yield
