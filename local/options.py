"""What a person asks the demo for, and the producer's command line that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

PLEASANT_RATE = 300.0


@dataclass(frozen=True)
class Options:
    """Without a number of events and without files the demo runs until it is stopped."""

    data: Path
    keep: bool = False
    consumers: int = 2
    events: int | None = None
    rate: float | None = None
    seed: int = 0
    replay: Path | None = None
    producer: Sequence[str] = ()
    svg: Path | None = None
    grafana: bool = False

    @property
    def finite(self) -> bool:
        """It ends by itself."""
        return self.events is not None or self.replay is not None

    @property
    def title(self) -> str:
        """What is running, in a few words."""
        if self.replay:
            return f"clickstream: replay of {self.replay.name}"
        if self.events is not None:
            return f"clickstream: {self.events:,} simulated events, seed {self.seed}"
        return f"clickstream: simulated visitors, {self.rate or PLEASANT_RATE:,.0f} events/s"

    def _span_seconds(self) -> int:
        """How far back the producer spreads a number of events."""
        return min(24 * 3600, max(1, self.events or 0))

    def producer_arguments(self) -> list[str]:
        """The producer's command line.

        A number of events comes with a seed and a start: a producer that was killed then sends the very same events
        again from the beginning, and each is still stored once. So does a replay, whose ids derive from its input.
        """
        if self.replay:
            return ["replay", str(self.replay), *self.producer]
        if self.events is None:
            return ["simulate", "--rate", f"{self.rate or PLEASANT_RATE:g}", *self.producer]
        start = datetime.now(UTC) - timedelta(seconds=1 if self.rate else self._span_seconds() + 1)
        fixed = ["--events", f"{self.events}", "--seed", f"{self.seed}", "--start", f"{start:%Y-%m-%dT%H:%M:%SZ}"]
        return ["simulate", *fixed, *(["--rate", f"{self.rate:g}"] if self.rate else []), *self.producer]
