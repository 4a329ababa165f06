"""A query as Grafana would send it: template variables and the PostgreSQL data source's macros replaced."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_CALL = re.compile(r"\$__(\w+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_LEFT = re.compile(r"\$(?:\{|__?\w)[^\s]*")


@dataclass(frozen=True)
class Span:
    """A time range, and the step that Grafana would choose for it."""

    since: datetime
    until: datetime
    step_seconds: int = 60


@dataclass(frozen=True)
class Choice:
    """The chosen values of template variables; a variable that is not here stands on All."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


class MacroError(Exception):
    """Grafana would refuse the query, or send something else than was meant."""


def expand(sql: str, span: Span, variables: Mapping[str, str], choice: Choice | None = None) -> str:
    """The SQL that reaches PostgreSQL; `variables` gives each variable's allValue.

    Raises:
        MacroError: something is left that nobody would replace.
    """
    chosen = (choice or Choice()).values

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name in chosen:
            return ",".join("'" + value.replace("'", "''") + "'" for value in chosen[name])
        if name not in variables:
            raise MacroError(f"unknown variable {name}")
        return variables[name]

    sql = _VARIABLE.sub(variable, sql)
    sql = sql.replace("$__interval_ms", str(span.step_seconds * 1000)).replace("$__interval", f"{span.step_seconds}s")
    sql = _CALL.sub(lambda match: _macro(match, span), sql)
    if left := _LEFT.search(sql):
        raise MacroError(f"nobody replaces {left[0]}")
    return sql


def _macro(match: re.Match[str], span: Span) -> str:
    name, arguments = match[1], [argument.strip() for argument in match[2].split(",")]
    if "(" in match[2]:
        raise MacroError(f"$__{name}: Grafana ends the arguments at the first ')'")
    since, until = _literal(span.since), _literal(span.until)
    if name == "timeFrom":
        return since
    if name == "timeTo":
        return until
    if name == "timeFilter":
        return f"{arguments[0]} BETWEEN {since} AND {until}"
    if name in ("timeGroup", "timeGroupAlias"):
        every = _seconds(arguments[1])
        group = f"floor(extract(epoch from {arguments[0]})/{every})*{every}"
        return f'{group} AS "time"' if name == "timeGroupAlias" else group
    raise MacroError(f"unknown macro $__{name}")


def _literal(time: datetime) -> str:
    return f"'{time.astimezone(UTC).isoformat().replace('+00:00', 'Z')}'"


def _seconds(interval: str) -> int:
    match = re.fullmatch(r"'?(\d+)([smhd])'?", interval)
    if match is None:
        raise MacroError(f"{interval} is no interval")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def last(span: timedelta, until: datetime, step_seconds: int = 60) -> Span:
    """The range that ends at `until`."""
    return Span(until - span, until, step_seconds)
