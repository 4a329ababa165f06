"""Random events in a small world, where everything collides: few visitors, sessions, pages, and times at the edges."""

import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

from confluent_kafka import Message
from msgspec import json

from services.common.event import EventType
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose, lower_bound

TYPES = tuple(name for name in get_args(EventType) if name != "custom")
_URLS = ["https://www.shop.example/x", "https://Blog.example:8080/", "https://shop.example./x?y", "/x", "http://[::1]/"]
_PAGES = ["/", "/cart", "/checkout", "/product/1", "/product/2", "/größe"]
_REFERRERS = [None, "https://www.google.com/search?q=x", "https://shop.example/", "https://news.example:8080/a", "odd"]


def first_id(day: date) -> str:
    """No event of a UTC day has a smaller id."""
    return lower_bound(to_unix_ms(datetime(day.year, day.month, day.day, tzinfo=UTC)))


class World:
    """Makes events of a seed; `start` is the first of four days that end in a new week and a new month."""

    def __init__(self, seed: int, start: datetime = datetime(2026, 8, 29, tzinfo=UTC)) -> None:
        self.random = random.Random(seed)
        self._names = random.Random(f"names of {seed}")  # of its own: whatever is drawn of it changes nothing else
        self._start_ms = to_unix_ms(start)
        self._sessions = [compose(self._start_ms, self.random.getrandbits(74)) for _ in range(25)]

    def event(self) -> dict[str, Any]:
        """One event; its optional fields come and go."""
        r = self.random
        at_ms = self._start_ms + self._odd_ms(timedelta(days=4))
        made_ms = max(at_ms + r.choice([0, 0, 0, r.randint(-5_000, 86_400_000)]), self._start_ms)
        if r.random() < 0.1:
            self._sessions[r.randrange(len(self._sessions))] = compose(at_ms, r.getrandbits(74))
        event = {
            "event_id": compose(made_ms, r.getrandbits(74)),
            "event_time": rfc3339_ms(at_ms),
            "event_type": r.choice(TYPES),
            "session_id": r.choice(self._sessions),
            "visitor_id": f"v{r.randint(1, 12)}",
            "page_path": r.choice(_PAGES),
            "device_type": r.choice(["desktop", "mobile"]),
        }
        optional = {
            "country": r.choice(["DE", "FR"]),
            "city": r.choice(["Köln", "Paris"]),
            "os": "Linux",
            "browser": r.choice(["Firefox", "Chrome"]),
            "element": r.choice(["buy", "menu", ""]),
            "product_id": r.choice(["p1", "p2"]),
            "quantity": r.randint(0, 3),
            "value": r.choice(["0", "19.90", "5", "0.0001"]),
            "currency": r.choice(["EUR", "USD"]),
            "page_url": "https://www.shop.example/x",
            "referrer": r.choice(_REFERRERS),
            "utm_source": r.choice(["newsletter", ""]),
            "utm_medium": "email",
            "utm_campaign": r.choice(["spring", "autumn"]),
            "properties": {"n": r.random(), "quote": "'\"\\\t"},
        }
        return event | {name: value for name, value in optional.items() if r.random() < 0.6} | self._named()

    def _named(self) -> dict[str, Any]:
        """What some events say of their site, and what some are called that no type fits."""
        r = self._names
        named: dict[str, Any] = {"page_url": r.choice(_URLS)} if r.random() < 0.6 else {}
        if r.random() < 0.5:
            named["site"] = r.choice(["shop.example", "Blog.Example", "app"])
        if r.random() < 0.08:
            named |= {"event_type": "custom", "event_name": r.choice(["signup", "video_play", "größe gewählt"])}
        return named

    def _odd_ms(self, span: timedelta) -> int:
        """Anywhere in the span, often to the very edge of an hour or a day."""
        r = self.random
        whole = int(span / timedelta(milliseconds=1))
        hour = 3_600_000
        edge = r.randrange(whole // hour) * hour + r.choice([-1, 0, 1])
        return min(max(r.choice([edge, r.randrange(whole)]), 0), whole - 1)


def message(value: bytes | None, offset: int, partition: int = 0, topic: str = "events") -> Message:
    """A message as it comes from the broker."""
    return Message(
        topic=topic, partition=partition, offset=offset, key=b"k", value=value, timestamp=(1, 1_790_000_000_000)
    )


def encode(events: Iterable[dict[str, Any]]) -> list[bytes]:
    """As JSON."""
    return [json.encode(event) for event in events]
