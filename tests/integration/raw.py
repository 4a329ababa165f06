"""A record written by hand: what the protocol allows and no client library would send."""

import socket
import struct
from collections.abc import Sequence

from tests.integration.pipeline import wait_until

_NO_TIMESTAMP = -1
_PRODUCE, _VERSION = 0, 3
_POLYNOMIAL = 0x82F63B78


def produce(
    bootstrap: str,
    topic: str,
    value: bytes,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    partition: int = 0,
    timestamp_ms: int = _NO_TIMESTAMP,
) -> None:
    """Send one record, without key, to the broker that leads the partition, and see it taken."""
    batch = _batch(_record(value, headers), timestamp_ms)
    name = _text(topic.encode())
    body = struct.pack(">hhi", _PRODUCE, _VERSION, 1) + _text(b"raw") + struct.pack(">hhii", -1, -1, 10_000, 1) + name
    body += struct.pack(">iii", 1, partition, len(batch)) + batch
    request = struct.pack(">i", len(body)) + body
    error_at = 8 + len(name) + 8
    wait_until(lambda: _ask(bootstrap, request, error_at) == 0, "the broker to take the record")


def _ask(bootstrap: str, request: bytes, error_at: int) -> int:
    """The error code of the answer: 3 or 6 as long as the partition of a new topic is on its way."""
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection, connection.makefile("rb") as answers:
        connection.sendall(request)
        (length,) = struct.unpack(">i", answers.read(4))
        answer = answers.read(length)
    (error,) = struct.unpack_from(">h", answer, error_at)
    assert error in (0, 3, 6), f"the broker refuses the record: error {error}"
    return int(error)


def _record(value: bytes, headers: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    parts = [b"\0", _varint(0), _varint(0), _varint(-1), _bytes(value), _varint(len(headers))]
    parts += [_bytes(name) + _bytes(content) for name, content in headers]
    record = b"".join(parts)
    return _varint(len(record)) + record


def _batch(record: bytes, timestamp_ms: int) -> bytes:
    checked = struct.pack(">hiqqqhii", 0, 0, timestamp_ms, timestamp_ms, -1, -1, -1, 1) + record
    rest = struct.pack(">ibI", -1, 2, _crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(rest)) + rest


def _text(text: bytes) -> bytes:
    return struct.pack(">h", len(text)) + text


def _bytes(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    zigzag, encoded = (number << 1) ^ (number >> 63), bytearray()
    while zigzag > 0x7F:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*encoded, zigzag])


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
