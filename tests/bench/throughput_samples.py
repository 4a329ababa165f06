"""What `reporting` says while consumers work: sampled for the picture, and summed up from the ledger for the table."""

import time
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from tests.e2e.database import Database

_SAMPLE_SECONDS = 2.0
_SAMPLE = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS at,
    (SELECT sum(received) FROM reporting.partition_offset)::bigint AS received,
    (SELECT sum(lag_messages) FROM reporting.partition_offset)::bigint AS lag
"""
_BATCHES = """
SELECT extract(epoch FROM committed_at)::float8 AS at, received, freshness_p50_seconds AS p50,
    freshness_p95_seconds AS p95
FROM reporting.ingest_batch
WHERE received > 0 AND committed_at > to_timestamp({}) AND committed_at <= to_timestamp({})
ORDER BY batch_id
"""


@dataclass(frozen=True)
class Sample:
    """One look: seconds since 1970, messages received so far, and how many wait as far as the consumers know."""

    at: float
    received: int
    lag: int


@dataclass(frozen=True)
class Batch:
    """One of the ledger's: freshness is from produced to stored, in seconds."""

    at: float
    received: int
    p50: float
    p95: float


@dataclass(frozen=True)
class Phase:
    """Some consumers under some load."""

    consumers: int
    load: str
    samples: list[Sample]
    batches: list[Batch]

    @property
    def per_second(self) -> float:
        """Messages that were accounted for, from the first look to the last."""
        return sum(batch.received for batch in self.batches) / (self.samples[-1].at - self.samples[0].at)

    @property
    def lag_max(self) -> int:
        """The most that waited."""
        return max(sample.lag for sample in self.samples)

    def freshness_seconds(self, share: float, quantile: str) -> float:
        """Such a share of the messages was in batches whose quantile (p50, p95) is at most this."""
        ordered = sorted((getattr(batch, quantile), batch.received) for batch in self.batches)
        wanted = share * sum(count for _, count in ordered)
        for value, count in ordered:
            wanted -= count
            if wanted <= 0:
                return float(value)
        return float(ordered[-1][0])


class Sampler:
    """Looks every two seconds."""

    def __init__(self, database: Database, progress: Progress) -> None:
        self._database, self._progress = database, progress

    def watch(self, consumers: int, load: str, seconds: float, *, until_no_lag: bool = False) -> Phase:
        """For so long, or until nothing waits any more."""
        task = self._progress.add_task(f"{consumers} x {load}", total=None if until_no_lag else seconds, state="")
        samples = [self._sample()]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (until_no_lag and _idle(samples)):
            time.sleep(_SAMPLE_SECONDS)
            samples.append(self._sample())
            last, now = samples[-2:]
            state = f"{(now.received - last.received) / (now.at - last.at):,.0f} messages/s, lag {now.lag:,}"
            self._progress.update(task, completed=now.at - samples[0].at, state=state)
        self._progress.stop_task(task)
        rows = self._database.rows(_BATCHES.format(samples[0].at, samples[-1].at))
        return Phase(consumers, load, samples, [Batch(**row) for row in rows])

    def _sample(self) -> Sample:
        (row,) = self._database.rows(_SAMPLE)
        found: dict[str, Any] = row
        return Sample(**found)


def _idle(samples: list[Sample]) -> bool:
    """Nothing waits, and nothing came between two looks: what consumers know of the topic's end is up to date."""
    return len(samples) > 1 and samples[-1].lag == 0 and samples[-2].received == samples[-1].received
