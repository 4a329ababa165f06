"""The dashboards and alert rules of the repository, and the queries in them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
ALERTING = sorted((ROOT / "grafana" / "alerting").glob("*.yaml"))


@dataclass(frozen=True)
class Query:
    """One query of a panel. `variables` gives what a template variable on All stands for."""

    dashboard: str
    panel: str
    kind: str
    sql: str
    variables: dict[str, str]

    @property
    def key(self) -> str:
        """What tests call it."""
        return f"{self.dashboard}: {self.panel}"


def load(file: Path) -> dict[str, Any]:
    """A dashboard."""
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def variables(dashboard: dict[str, Any]) -> dict[str, str]:
    """What each template variable stands for on All; a text box is empty."""
    listed = dashboard["templating"]["list"]
    found = {v["name"]: v["allValue"] for v in listed if v["type"] == "query"}
    return found | {v["name"]: "''" for v in listed if v["type"] == "textbox"}


def queries() -> Iterator[Query]:
    """Every query of every panel."""
    for file in DASHBOARDS:
        dashboard = load(file)
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                known = variables(dashboard)
                yield Query(dashboard["title"], panel["title"], panel["type"], target["rawSql"], known)
