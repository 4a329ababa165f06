"""The measurement as a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.bench.throughput_samples import Phase


@dataclass(frozen=True)
class Machine:
    """Where it ran; without these facts the figures mean nothing."""

    measured_at: datetime
    nodes: int
    cores: int
    memory_gib: int
    kubernetes: str
    processor: str
    note: str


_PAGE = """# Throughput on a cluster

Written by `make throughput`. {measured_at:%Y-%m-%d}: {nodes} node{plural} with {cores} cores ({processor},
{memory_gib} GiB), Kubernetes {kubernetes}. Broker, PostgreSQL, producer, consumers and aggregator
share these cores.{note}

![messages per second, lag and freshness over time]({picture})

| consumers | full load: messages/s | lag, most | at the end | at {rate:,}/s: freshness p50 | p95 | lag, most |
|---:|---:|---:|---:|---:|---:|---:|
{rows}

- **Full load**: {backlog:,} messages wait when a step begins, and the producer goes on at full speed;
  messages/s is what was accounted for (stored, duplicate or dead letter) in `reporting.ingest_batch`.
- **Freshness**: from produced to stored, at a steady {rate:,} messages a second; 95 % of the messages came in batches
  whose 95th percentile is at most this. Every dashboard reads what is stored, so this is how old the newest is there.
- **Lag**: messages on the topic that are not accounted for, as the consumers see it.

More consumers than cores can't make it faster: compare the steps with the number of cores, not with each other. How
near one consumer comes to `psql \\copy` is another measurement: `python -m tests.bench.ingest`.
"""


def report(phases: list[Phase], machine: Machine, *, backlog: int, rate: int) -> str:
    """The page, in Markdown."""
    note = f"\n{machine.note}" if machine.note else ""
    facts = vars(machine) | {"note": note, "plural": "" if machine.nodes == 1 else "s"}
    return _PAGE.format(**facts, picture="throughput.svg", rows="\n".join(_rows(phases)), backlog=backlog, rate=rate)


def _rows(phases: list[Phase]) -> Iterable[str]:
    for consumers in dict.fromkeys(phase.consumers for phase in phases):
        by_load = {phase.load: phase for phase in phases if phase.consumers == consumers}
        full, steady = by_load["full load"], by_load["steady"]
        cells = (
            f"{consumers}",
            f"{full.per_second:,.0f}",
            f"{full.lag_max:,}",
            f"{full.samples[-1].lag:,}",
            f"{steady.freshness_seconds(0.5, 'p50'):.2f} s",
            f"{steady.freshness_seconds(0.95, 'p95'):.2f} s",
            f"{steady.lag_max:,}",
        )
        yield f"| {' | '.join(cells)} |"
