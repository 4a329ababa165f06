"""The alert rules of the repository, evaluated on SQL level: the query's numbers against the threshold."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import yaml

from services.common.postgres import Connection
from tests.dashboards.files import ALERTING
from tests.dashboards.macros import expand, last

_TESTS: dict[str, Callable[[float, float], bool]] = {"gt": operator.gt, "lt": operator.lt}


@dataclass(frozen=True)
class Rule:
    """One rule as provisioned."""

    name: str
    raw: dict[str, Any]
    sql: str
    over: Callable[[float, float], bool]
    threshold: float

    def fires(self, value: float) -> bool:
        """Whether a number crosses the threshold."""
        return self.over(value, self.threshold)

    def values(self, connection: Connection, at: datetime) -> dict[tuple[str, ...], float]:
        """The number of each alert, by its labels."""
        rows = connection.execute(expand(self.sql, last(timedelta(minutes=10), at), {}).encode()).fetchall()
        found = {}
        for row in rows:
            labels = tuple(value for value in row if isinstance(value, str))
            [number] = [value for value in row if not isinstance(value, str)]
            found[labels] = float(number)
        return found

    def firing(self, connection: Connection, at: datetime) -> set[tuple[str, ...]]:
        """The labels of the alerts whose number crosses the threshold."""
        return {labels for labels, value in self.values(connection, at).items() if self.fires(value)}


def rules() -> list[Rule]:
    """All rules of all files."""
    found = []
    for file in ALERTING:
        for group in yaml.safe_load(file.read_text())["groups"]:
            found += [_rule(raw) for raw in group["rules"]]
    return found


def _rule(raw: dict[str, Any]) -> Rule:
    query, threshold = raw["data"]
    [condition] = threshold["model"]["conditions"]
    test, [bound] = _TESTS[condition["evaluator"]["type"]], condition["evaluator"]["params"]
    return Rule(raw["title"], raw, query["model"]["rawSql"], test, bound)
