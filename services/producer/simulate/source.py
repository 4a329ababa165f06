"""The simulation as a source: what the crowd does, and what clients do to it: retries and broken messages."""

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from random import Random

from services.common.errors import UserError
from services.common.timestamps import to_unix_ms
from services.producer.settings import SimulateSettings
from services.producer.simulate import clocks
from services.producer.simulate.broken import break_one
from services.producer.simulate.crowd import Crowd
from services.producer.simulate.draw import by_rank
from services.producer.simulate.shop import Shop
from services.producer.simulate.visitors import HOUR_MS, Visitors, busyness
from services.producer.source import Message

# A client tries again after up to so many messages of everybody's.
REMEMBERED = 20_000
# Fewer events than one a second would be visitors who think for hours: then the time they are spread over is shorter.
LONGEST_MS_PER_EVENT = 1_000


class Simulation:
    """Visitors of one shop or several, as a source.

    When events happen: with a rate, or for ever, now, by the wall clock. A number of events without a rate is spread
    over the hours before now, by the day curve. With a start, the clock begins there: the same events every time.
    """

    def __init__(self, settings: SimulateSettings) -> None:
        self._settings = settings
        self._shops = by_rank([Shop(site) for site in settings.producer_site])
        self._visitors = Visitors(settings.producer_visitors)
        self._clock()

    def __iter__(self) -> Iterator[Message]:
        """Begin anew: for a given seed and start with the same events."""
        events = self._settings.producer_events
        return islice(self._messages(), None if events < 0 else events)

    def _messages(self) -> Iterator[Message]:
        settings = self._settings
        draw = Random(settings.producer_seed)
        crowd = Crowd(self._visitors, self._shops, draw, settings.producer_late_share)
        remembered: deque[tuple[bytes, bytes]] = deque(maxlen=REMEMBERED)
        invalid = settings.producer_invalid_share
        unusual = invalid + settings.producer_duplicate_share
        for now_ms in self._clock():
            number = draw.random()
            if number >= unusual or not remembered:
                event = crowd.act(now_ms)
                if unusual:
                    remembered.append(event)
            else:
                event = remembered[-1 - int(draw.random() ** 3 * len(remembered))]
                if number < invalid:
                    event = event[0], break_one(event[1], draw)
            yield Message(now_ms, *event)

    def _clock(self) -> Iterator[int]:
        """Raises UserError: the simulated time would lie in the future, or has no end."""
        settings, now_ms = self._settings, time.time_ns() // 1_000_000
        start = settings.producer_start
        start_ms = to_unix_ms(start) if start else None
        if start_ms is not None and start_ms > now_ms:
            raise UserError("PRODUCER_START lies in the future; choose an earlier one")
        if settings.producer_rate or settings.producer_events < 0:
            return self._running(start_ms)
        span_ms = int(settings.producer_span_hours * HOUR_MS)
        span_ms = max(1, min(span_ms, settings.producer_events * LONGEST_MS_PER_EVENT))
        if start_ms is None:
            start_ms = now_ms - span_ms
        elif start_ms + span_ms > now_ms:
            raise UserError(
                f"PRODUCER_START and the {span_ms / HOUR_MS:.4g} h of events reach into the future; "
                "choose an earlier PRODUCER_START or a smaller PRODUCER_SPAN_HOURS"
            )
        return clocks.spread(start_ms, start_ms + span_ms, settings.producer_events, busyness)

    def _running(self, start_ms: int | None) -> Iterator[int]:
        if start_ms is None:
            return clocks.wall_clock()
        if not self._settings.producer_rate:
            raise UserError("PRODUCER_START needs PRODUCER_EVENTS or PRODUCER_RATE: when would the events happen?")
        return clocks.steady(start_ms, self._settings.producer_rate)
