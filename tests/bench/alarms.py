"""How often the alerts about visitors' behaviour are wrong, and how soon they are right.

    python -m tests.bench.alarms [EVENTS_A_DAY …] [--write]

A site's visits come in as they would in life: 15 days of history, a quiet week, then days with an incident in the
morning and one in the afternoon. What has come is stored and rolled up by the consumer's and the aggregator's code; in
the quiet week and around incidents every rule is asked every five minutes of simulated time. An alert fires when its
number has been over the threshold as long as its rule says.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from services.common.postgres import Connection, connect
from services.producer.simulate.visitors import HOUR_MS
from tests.bench.books import Books
from tests.bench.database import as_reader, empty_database
from tests.bench.incidents import INCIDENTS, Happening, changed_events, changed_rate
from tests.bench.visits import DAY_MS, Sent, Visits, site_rate
from tests.dashboards.files import ROOT
from tests.dashboards.rules import Rule, rules

FILE = ROOT / "docs" / "benchmarks" / "alarms.md"
SITES = (5_000, 50_000, 200_000)
START = datetime(2025, 6, 2, tzinfo=UTC)  # a Monday
HISTORY_DAYS, QUIET_DAYS = 15, 7
_MARK = "## Measured\n\n"
STEP_MS = 5 * 60_000
INCIDENT_HOURS = (8, 16)
INCIDENT_LASTS_HOURS = 3
_START_MS = int(START.timestamp() * 1000)
_QUIET_MS = _START_MS + HISTORY_DAYS * DAY_MS
_INCIDENTS_MS = _QUIET_MS + QUIET_DAYS * DAY_MS
_UNITS_MS = {"s": 1000, "m": 60_000, "h": HOUR_MS}


@dataclass
class Watch:
    """One rule over time: when which of its alerts fired, and how large its numbers were while all was quiet."""

    rule: Rule
    fired: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    quiet_numbers: list[float] = field(default_factory=list)
    _over_since_ms: dict[tuple[str, ...], int] = field(default_factory=dict)
    _firing: set[tuple[str, ...]] = field(default_factory=set)
    _looked_ms: int = 0

    def look(self, connection: Connection, at_ms: int) -> None:
        """Ask the rule. After a break it begins anew."""
        if at_ms > self._looked_ms + STEP_MS:
            self._over_since_ms.clear()
            self._firing.clear()
        self._looked_ms = at_ms
        numbers = self.rule.values(connection, datetime.fromtimestamp(at_ms / 1000, UTC))
        if at_ms < _INCIDENTS_MS:
            self.quiet_numbers.append(max(numbers.values()))
        for labels, number in numbers.items():
            self._judge(labels, self.rule.fires(number), at_ms)

    def _judge(self, labels: tuple[str, ...], over: bool, at_ms: int) -> None:
        if not over:
            self._over_since_ms.pop(labels, None)
            self._firing.discard(labels)
            return
        since_ms = self._over_since_ms.setdefault(labels, at_ms)
        if labels not in self._firing and at_ms - since_ms >= _for_ms(self.rule):
            self._firing.add(labels)
            self.fired.append((at_ms, labels))

    def false_alarms(self) -> int:
        """How often it fired on the quiet days."""
        return sum(at_ms < _INCIDENTS_MS for at_ms, _ in self.fired)

    def minutes_until(self, happening: Happening) -> int | None:
        """How long after the beginning it fired, if it did before an hour after the end."""
        until_ms = happening.until_ms + HOUR_MS
        hits = [at_ms for at_ms, _ in self.fired if happening.since_ms <= at_ms < until_ms]
        return (hits[0] - happening.since_ms) // 60_000 if hits else None


def _for_ms(rule: Rule) -> int:
    text: str = rule.raw["for"]
    return int(text[:-1]) * _UNITS_MS[text[-1]]


def happenings() -> list[Happening]:
    """Two incidents a day, once the quiet days are over."""
    times = (_INCIDENTS_MS + day * DAY_MS + hour * HOUR_MS for day in range(len(INCIDENTS)) for hour in INCIDENT_HOURS)
    return [
        Happening(incident, at_ms, at_ms + INCIDENT_LASTS_HOURS * HOUR_MS)
        for incident, at_ms in zip(INCIDENTS, times, strict=False)
    ]


def watch(events_a_day: int) -> list[Watch]:
    """Live through it all with one site."""
    watches = [Watch(rule) for rule in rules() if rule.raw["labels"]["component"] == "behaviour"]
    with (
        empty_database() as owner,
        connect(owner, "bench", autocommit=True) as consumer,
        connect(owner, "bench", autocommit=True) as aggregator,
        connect(as_reader(owner), "bench", autocommit=True) as grafana,
    ):
        consumer.execute("SET synchronous_commit = off")
        books = Books(consumer, aggregator)
        for at_ms, sent in _steps(_sent(events_a_day)):
            books.store((one.visitor_id, one.value) for one in sent)
            books.roll_up()
            if at_ms % DAY_MS == 0:
                aggregator.execute("ANALYZE")
            if at_ms >= _QUIET_MS:
                for each in watches:
                    each.look(grafana, at_ms)
            _progress(events_a_day, at_ms)
    return watches


def _instants() -> list[int]:
    """When what has come is stored: by the hour, and every five minutes where rules are asked."""
    watched = [range(_QUIET_MS, _INCIDENTS_MS, STEP_MS)]
    watched += [range(one.since_ms, one.until_ms + HOUR_MS, STEP_MS) for one in happenings()]
    return sorted({*range(_START_MS + HOUR_MS, watched[-1].stop, HOUR_MS), *chain.from_iterable(watched)})


def _steps(sent: Iterator[Sent]) -> Iterator[tuple[int, Iterator[Sent]]]:
    """Each instant, with what was sent since the one before."""
    following = next(sent, None)

    def until(at_ms: int) -> Iterator[Sent]:
        nonlocal following
        while following is not None and following.at_ms < at_ms:
            yield following
            following = next(sent, None)

    for at_ms in _instants():
        yield at_ms, until(at_ms)


def _sent(events_a_day: int) -> Iterator[Sent]:
    what = happenings()
    usual = site_rate(events_a_day, _START_MS, seed=events_a_day)
    end_ms = what[-1].until_ms + HOUR_MS
    return changed_events(Visits().between(_START_MS, end_ms, changed_rate(usual, what), events_a_day), usual, what)


def _progress(events_a_day: int, at_ms: int) -> None:
    if at_ms % DAY_MS == 0:
        day, days = (at_ms - _START_MS) // DAY_MS, (happenings()[-1].until_ms - _START_MS) // DAY_MS
        print(f"{events_a_day:,} events a day: day {day} of {days}", file=sys.stderr)


def report(found: dict[int, list[Watch]]) -> str:
    """Both tables, as Markdown."""
    sites = " | ".join(f"{site:,}" for site in found)
    rule_line = f"|---|{'---:|' * (len(found) + 1)}"
    lines = [f"| alert | threshold | {sites} |", rule_line]
    by_rule: dict[str, list[Watch]] = defaultdict(list)
    for watches in found.values():
        for each in watches:
            by_rule[each.rule.name].append(each)
    for name, watches in by_rule.items():
        cells = (f"{one.false_alarms()} ({max(one.quiet_numbers):.1f})" for one in watches)
        lines.append(f"| {name} | {watches[0].rule.threshold:g} | {' | '.join(cells)} |")
    lines += ["", f"| incident | alert | {sites} |", rule_line.replace(":", "", 1)]
    for happening in happenings():
        alert = happening.incident.alert
        times = (one.minutes_until(happening) for one in by_rule[alert])
        cells = ("not noticed" if minutes is None else f"{minutes} min" for minutes in times)
        lines.append(f"| {happening.incident.name} | {alert} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(sites: list[int], *, write: bool) -> None:
    """Watch each site, print, and write the page if so wanted."""
    with ProcessPoolExecutor() as pool:
        tables = report(dict(zip(sites, pool.map(watch, sites), strict=True)))
    print(tables)
    if write:
        head, _, _ = FILE.read_text().partition(_MARK)
        FILE.write_text(f"{head}{_MARK}{tables}\n")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(numbers or [*SITES], write="--write" in sys.argv)
