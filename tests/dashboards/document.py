"""docs/dashboards.md from the dashboards: what each panel asks, which views answer, how long it took.

    python -m tests.dashboards.document

rewrites it and keeps the times, which `python -m tests.bench.panels` measures.
"""

import re
from collections.abc import Mapping

from tests.dashboards.files import DASHBOARDS, ROOT, load, queries

FILE = ROOT / "docs" / "dashboards.md"
_VIEW = re.compile(r"reporting\.(\w+)")
_ROW = re.compile(r"^\| (?P<panel>[^|]+) \|.*\| (?P<milliseconds>[\d.]+|\?) \|$")
_HEAD = """# Dashboards

Six dashboards in `grafana/dashboards/`, the only copies: the chart provisions them, `make demo ARGS=--grafana` shows
them on one machine. They find the database by the variable *Data source*, lead to each other by the tag `clickstream`,
and read only schema `reporting`, as the role `grafana_reader`: read-only, 15 s a statement at the most.

Every figure is exact and live: a view is the rollup and the tail that is not rolled up yet, together. Days and hours
are UTC. What is summed by the hour is shown in whole hours: all that the time range touches. Over more than a week,
whole days come from the daily rollups, and only the hours at both ends from the hourly ones.

`tests/dashboards` runs every panel's SQL as Grafana would and compares the rows with numbers computed from the raw
events in Python. This page is generated from the dashboards (`python -m tests.dashboards.document`).

"""


def render(milliseconds: Mapping[str, str], measured: str) -> str:
    """The page; times by "dashboard: panel"."""
    parts = [_HEAD, f"Times: {measured}\n"]
    by_key = {query.key: query for query in queries()}
    for dashboard in map(load, DASHBOARDS):
        parts.append(f"\n## {dashboard['title']}\n\n{dashboard['description']}\n\n")
        parts.append("| panel | what it shows | views | ms |\n|---|---|---|---|\n")
        for panel in dashboard["panels"]:
            key = f"{dashboard['title']}: {panel['title']}"
            views = ", ".join(f"`{view}`" for view in sorted(set(_VIEW.findall(by_key[key].sql))))
            cells = (panel["title"], panel["description"], views, milliseconds.get(key, "?"))
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def times(text: str) -> tuple[dict[str, str], str]:
    """The times that a page holds, and how they were measured."""
    found, dashboard, measured = {}, "", "not measured yet"
    for line in text.splitlines():
        if line.startswith("## "):
            dashboard = line.removeprefix("## ")
        elif line.startswith("Times: "):
            measured = line.removeprefix("Times: ")
        elif (row := _ROW.match(line)) and row["panel"] != "panel":
            found[f"{dashboard}: {row['panel']}"] = row["milliseconds"]
    return found, measured


if __name__ == "__main__":
    FILE.write_text(render(*times(FILE.read_text() if FILE.exists() else "")))
