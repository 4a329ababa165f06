"""UUIDv7 (RFC 9562, section 5.7) as lower-case text: 48 bits of Unix milliseconds, version, 74 free bits.

Its time chooses the event's day partition, and time-ordered keys keep inserts at the right edge of the index.
"""

import hashlib
from datetime import UTC, date, datetime

RANDOM_BITS = 74


def compose(unix_ms: int, random_bits: int) -> str:
    """The UUIDv7 of a time in milliseconds and 74 free bits."""
    return (
        f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}-7{random_bits >> 62 & 0xFFF:03x}"
        f"-{0x8000 | random_bits >> 48 & 0x3FFF:04x}-{random_bits & 0xFFFF_FFFF_FFFF:012x}"
    )


def derive(unix_ms: int, source: str, foreign_id: str) -> str:
    """The same UUIDv7 each time for an id from elsewhere (a UUIDv4, a log line): its own time, then a hash."""
    digest = hashlib.sha256(f"{source}\0{foreign_id}".encode("utf-8", "surrogateescape")).digest()
    return compose(unix_ms, int.from_bytes(digest[:10], "big"))


def unix_ms(uuid: str) -> int:
    """The time a UUIDv7 carries, in milliseconds since 1970."""
    return int(uuid[:8] + uuid[9:13], 16)


def lower_bound(unix_ms: int) -> str:
    """The smallest UUID whose first 48 bits are this time: a range of ids is a range of times."""
    digits = f"{unix_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def day_of(uuid: str) -> date:
    """The UTC day whose partition holds this id."""
    return datetime.fromtimestamp(unix_ms(uuid) / 1000, UTC).date()
