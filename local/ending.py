"""The verdict on a run that ended by itself: the balance sheet, a recount, and the aggregator's own verification."""

import json
import subprocess
from pathlib import Path

from rich.console import Console

from local import queries
from local.embedded import Platform
from local.figures import Figures
from local.postgres import DATABASE
from local.process import Process
from local.queries import Balance
from local.services import Services
from services.common.errors import UserError

_VERIFY_SECONDS = 600


def judge(
    console: Console, platform: Platform, services: Services, before: Balance, figures: Figures, events: int | None
) -> None:
    """Print the balance sheet and what `verify` says.

    Raises:
        UserError: something is off, and what.
    """
    with platform.postgres.connect(DATABASE) as session:
        recount = queries.stored_events(session)
    console.print(_sheet(figures, recount), highlight=False, markup=False)
    problems = _problems(before, figures, recount, events)
    if not _verified(console, services.aggregator("verify", "--all", name="verify")):
        problems.append("the rollups differ from a recount of the raw events")
    if problems:
        raise UserError("; ".join(problems))
    console.print("OK: every message is accounted for, and every rollup equals a recount.", style="bold green")


def replay_report(log: Path) -> str:
    """What the producer made of its files, from the last report in its log; empty if there is none."""
    reports = [line for line in log.read_text().splitlines() if '"event": "replayed"' in line]
    if not reports:
        return ""
    report = json.loads(reports[-1])
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in report["skipped"].items()) or "nothing"
    bad = report["bad_lines"]
    return (
        f"Replay\n  {report['lines']:,} lines, {report['events']:,} events; left out: {left_out}; "
        f"bad lines: {bad:,}" + (f", each in {log}" if bad else "")
    )


def _sheet(figures: Figures, recount: int) -> str:
    balance = figures.balance
    rows = (
        ("on the topic", figures.produced),
        ("received", balance.received),
        ("= stored", balance.stored),
        ("+ duplicate", balance.duplicate),
        ("+ dead-lettered", balance.dead),
        ("lost", balance.lost),
        ("raw events, recounted", recount),
    )
    return "\n".join(["Balance", *(f"  {name:<22}{count:>14,}" for name, count in rows)])


def _problems(before: Balance, figures: Figures, recount: int, events: int | None) -> list[str]:
    balance = figures.balance
    received = balance.received - before.received
    checks = (
        (figures.problem is None, f"the final figures could not be read: {figures.problem}"),
        (balance.exact, "received is not stored + duplicate + dead-lettered"),
        (balance.lost == 0, f"{balance.lost:,} messages were lost"),
        (balance.received == figures.produced, f"{figures.produced - balance.received:,} messages were not received"),
        (events is None or received >= events, f"only {received:,} of {events or 0:,} events arrived"),
        (recount == balance.stored, f"{balance.stored:,} events were stored, {recount:,} are there"),
    )
    return [problem for fine, problem in checks if not fine]


def _verified(console: Console, verify: Process) -> bool:
    done = subprocess.run(
        verify.command,
        check=False,
        cwd=verify.cwd,
        env=verify.environment,
        capture_output=True,
        text=True,
        timeout=_VERIFY_SECONDS,
    )
    console.print(done.stdout.strip() or done.stderr.strip(), highlight=False, markup=False)
    return done.returncode == 0
