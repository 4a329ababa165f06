"""What a file holds as a stream of UTF-8 with LF line ends, whatever it is packed and written in."""

import bz2
import codecs
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from services.common.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError)
"""What the decompressors raise, besides an OSError without a number."""

_BUFFER_BYTES = 1 << 17
_MAGIC_BYTES = 16
_UNPACKERS: dict[bytes, tuple[str, Callable[[BinaryIO], object]]] = {
    b"\x1f\x8b": ("gzip", lambda raw: gzip.GzipFile(fileobj=raw, mode="rb")),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\0": ("xz", lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": ("zstd", zstd.ZstdFile),
}
_PACKED = {
    b"PK\x03\x04": "a ZIP archive: unzip -p FILE | … replay -",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: 7z x -so FILE | … replay -",
    b"\x04\x22\x4d\x18": "packed by lz4: lz4 -dc FILE | … replay -",
    b"\x1f\x9d": "packed by compress: zcat FILE | … replay -",
    b"PAR1": "a Parquet file: write it as CSV or NDJSON",
    b"SQLite format 3\0": "a database: write its table as CSV",
}
_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class Counted(io.RawIOBase):
    """A file or pipe whose bytes are counted; `head` is read at once, and read again as the beginning."""

    def __init__(self, raw: io.FileIO, wait: Callable[[io.FileIO], bool]) -> None:
        """`wait` returns once there is something to read, or False: then the stream ends."""
        super().__init__()
        self._raw = raw
        self._wait = wait
        self.position_bytes = 0
        self.head = b""
        while len(self.head) < _MAGIC_BYTES and (block := self._some(_BUFFER_BYTES)):
            self.head += block
        self._left = self.head

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Some bytes."""
        data = self._left[: len(buffer)] or self._some(len(buffer))
        self._left = self._left[len(data) :]
        buffer[: len(data)] = data
        self.position_bytes += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file too."""
        self._raw.close()
        super().close()

    def _some(self, size: int) -> bytes:
        """At least a byte, before the end: a pipe need not fill up before what came is read."""
        return self._raw.read(size) or b"" if self._wait(self._raw) else b""


class _Recoded(io.RawIOBase):
    """A stream whose blocks go through a function."""

    def __init__(self, stream: BinaryIO, recode: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._recode = recode
        self._left = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Some bytes."""
        while not self._left and (block := self._stream.read(len(buffer))):
            self._left = self._recode(block)
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def refuse_packed(head: bytes, name: str) -> None:
    """Raises UserError: a kind of file that can't be read; the message says how it can."""
    for magic, remedy in _PACKED.items():
        if head.startswith(magic):
            raise UserError(f"{name}: {remedy}")


def packing(head: bytes) -> str:
    """How a file that begins so is packed: for messages."""
    return next((name for magic, (name, _) in _UNPACKERS.items() if head.startswith(magic)), "file")


def unpacked(counted: Counted) -> BinaryIO:
    """What is in it; recognised by its content, not by its name."""
    stream = cast("BinaryIO", io.BufferedReader(counted, _BUFFER_BYTES))
    for magic, (_, unpack) in _UNPACKERS.items():
        if counted.head.startswith(magic):
            # Not buffered again: of a damaged file a buffer would swallow what could still be read.
            return cast("BinaryIO", unpack(stream))
    return stream


def as_utf8(stream: BinaryIO) -> BinaryIO:
    """The stream without its byte-order mark, in UTF-8 if it was UTF-16, with LF if its lines end with CR alone."""
    head: bytes = stream.peek(4096)  # type: ignore[attr-defined]
    encoding = next((name for mark, name in _ENCODINGS if head.startswith(mark)), None) or _unmarked(head)
    if encoding == "utf-8-sig":
        stream.read(3)
    elif encoding:
        decode = codecs.getincrementaldecoder(encoding)("replace").decode
        stream = _buffered(_Recoded(stream, lambda block: decode(block).encode("utf-8", "replace")))
        head = stream.peek(4096)  # type: ignore[attr-defined]
    if b"\r" in head[:-1] and b"\n" not in head:
        return _buffered(_Recoded(stream, lambda block: block.replace(b"\r", b"\n")))
    return stream


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(raw, _BUFFER_BYTES))


def _unmarked(head: bytes) -> str | None:
    """UTF-16 without a mark: of text in Latin letters every second byte is zero."""
    even, odd = head[0:64:2], head[1:64:2]
    if len(odd) < 8:
        return None
    if all(even) and not any(odd):
        return "utf-16-le"
    return "utf-16-be" if all(odd) and not any(even) else None
