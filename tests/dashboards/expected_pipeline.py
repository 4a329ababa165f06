"""What the panels of Pipeline must answer, from the rows of the books themselves and from what was sent."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, timedelta
from typing import Any

from tests import oracle
from tests.dashboards.facts import Facts, groups, ratio, total, utc_day

Rows = list[tuple[Any, ...]]
Batch = dict[str, Any]


def of_steps(*columns: Callable[[list[Batch], float], Any]) -> Callable[[Facts], Rows]:
    """Each a function of the batches of a step and its length in seconds."""

    def answer(facts: Facts) -> Rows:
        batches = facts.ledger(facts.span.since, facts.until)
        steps = groups(batches, lambda b: facts.step(oracle.minute(b["committed_at"].astimezone(UTC))))
        seconds = float(facts.span.step_seconds)
        return [(step, *(column(found, seconds) for column in columns)) for step, found in sorted(steps.items())]

    return answer


def worst(column: str) -> Callable[[list[Batch], float], Any]:
    """The largest."""
    return lambda batches, _: max((b[column] for b in batches if b[column] is not None), default=None)


def each_second(column: str) -> Callable[[list[Batch], float], Any]:
    """The sum, a second."""
    return lambda batches, seconds: total(batches, column) / seconds


def share(column: str) -> Callable[[list[Batch], float], Any]:
    """Of what was received."""
    return lambda batches, _: ratio(total(batches, column), total(batches, "received"))


def lag_seconds(facts: Facts, partition: dict[str, Any]) -> float:
    """How old what waits is."""
    if partition["high_watermark"] <= partition["next_offset"]:
        return 0.0
    recent = [
        b
        for b in facts.tables["ingest_batch"]
        if partition["partition"] in b["partitions"]
        and facts.until - timedelta(minutes=2) < b["committed_at"] <= facts.until
    ]
    waited: float = (facts.until - partition["updated_at"]).total_seconds()
    if recent:
        return max(waited, float(max(recent, key=lambda b: b["committed_at"])["freshness_p95_seconds"]))
    return waited


def balance_sheet(facts: Facts) -> Rows:
    """From what was sent, event by event, and from the dead letters."""
    return [
        (
            p["partition"],
            *(p[column] for column in ("received", "stored", "duplicate", "dead", "lost")),
            0,
            p["high_watermark"] - p["next_offset"],
            lag_seconds(facts, p),
        )
        for p in sorted(facts.tables["sent"], key=lambda p: p["partition"])
    ]


def freshness(facts: Facts) -> Rows:
    """Of the last five minutes."""
    batches = facts.ledger(facts.until - timedelta(minutes=6) + timedelta(microseconds=1), facts.until)
    return [(max(b["freshness_p95_seconds"] for b in batches),)]


def _newest_verification(facts: Facts) -> list[dict[str, Any]]:
    rows = facts.tables["verification"]
    newest = max(row["verified_at"] for row in rows)
    return [row for row in rows if row["verified_at"] == newest]


def drift(facts: Facts) -> Rows:
    """By rollup."""
    rows = sorted(_newest_verification(facts), key=lambda row: (-row["drift_rows"], row["rollup"]))
    return [(row["rollup"], row["verified_at"], row["rows"], row["drift_rows"]) for row in rows]


def _dead(facts: Facts) -> list[dict[str, Any]]:
    return [d for d in facts.tables["dead_letter"] if facts.span.since <= d["failed_at"] <= facts.until]


def dead_by_reason(facts: Facts) -> Rows:
    """Over time."""
    found = Counter((facts.step(d["failed_at"]), d["reason"]) for d in _dead(facts))
    return [(*key, n) for key, n in sorted(found.items())]


def latest_dead(facts: Facts) -> Rows:
    """The newest twenty."""
    columns = ("failed_at", "reason", "message", "partition", "message_offset", "replays")
    rows = sorted(_dead(facts), key=lambda d: (d["failed_at"], d["dead_letter_id"]), reverse=True)
    return [tuple(d[column] for column in columns) for d in rows[:20]]


def runs(facts: Facts) -> Rows:
    """The newest twenty."""
    rows = sorted(facts.tables["aggregator_run"], key=lambda r: (r["started_at"], r["run_id"]), reverse=True)

    def state(row: dict[str, Any]) -> str:
        return row["error"] or ("done" if row["finished_at"] else "not finished")

    columns = ("seconds", "passes", "batches", "events", "rollup_rows")
    return [(r["started_at"], state(r), *(r[column] for column in columns)) for r in rows[:20]]


def partitions(facts: Facts) -> Rows:
    """Newest first; size and estimate are PostgreSQL's own."""

    def days(first: date, last: date) -> str:
        return str(first) if first == last else f"{first} to {last}"

    rows = sorted(facts.tables["event_partition"], key=lambda p: p["last_day"], reverse=True)
    return [(days(p["first_day"], p["last_day"]), p["estimated_events"], p["size_bytes"]) for p in rows[:14]]


def sizes(facts: Facts) -> Rows:
    """By the hour."""
    rows = sorted(facts.tables["database_size_hour"], key=lambda row: row["hour"])
    return [(row["hour"], row["size_bytes"]) for row in rows if facts.touched(row["hour"])]


ANSWERS: dict[str, Callable[[Facts], Rows]] = {
    "Pipeline: Unaccounted": lambda _: [(0,)],
    "Pipeline: Lag": lambda f: [(sum(p["high_watermark"] - p["next_offset"] for p in f.tables["sent"]),)],
    "Pipeline: Lag in seconds": lambda f: [(max(lag_seconds(f, p) for p in f.tables["sent"]),)],
    "Pipeline: Freshness p95": freshness,
    "Pipeline: Drift": lambda f: [(total(_newest_verification(f), "drift_rows"),)],
    "Pipeline: Database size": lambda f: [(f.tables["database"][0]["size_bytes"],)],
    "Pipeline: Balance sheet by partition": balance_sheet,
    "Pipeline: Freshness": of_steps(*(worst(f"freshness_{p}_seconds") for p in ("p50", "p95", "p99"))),
    "Pipeline: Messages per second": of_steps(*map(each_second, ("stored", "duplicate", "dead"))),
    "Pipeline: Lag over time": of_steps(lambda batches, _: max(max(b["lag_messages"]) for b in batches)),
    "Pipeline: Batches": of_steps(
        lambda batches, seconds: len(batches) * 60 / seconds,
        lambda batches, _: total(batches, "received") / len(batches),
        lambda batches, _: total(batches, "seconds") * 1000 / len(batches),
    ),
    "Pipeline: Duplicates and dead letters": of_steps(share("duplicate"), share("dead")),
    "Pipeline: Dead letters by reason": dead_by_reason,
    "Pipeline: Latest dead letters": latest_dead,
    "Pipeline: Aggregator runs": runs,
    "Pipeline: Drift by rollup": drift,
    "Pipeline: Last day with a partition": lambda f: [
        ((max(p["last_day"] for p in f.tables["event_partition"]) - utc_day(f.until)).days,)
    ],
    "Pipeline: Database use": lambda f: [(f.tables["database"][0]["size_bytes"] / 1e9,)],
    "Pipeline: Database size over time": sizes,
    "Pipeline: Partitions of raw events": partitions,
}
