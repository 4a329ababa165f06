"""docs/dashboards.md from the dashboards: what each panel asks, which views answer, how long it took.

    python -m tests.dashboards.document

rewrites it and keeps the times, which `python -m tests.bench.panels` measures.
"""

import re
from collections.abc import Mapping, Sequence

from tests.dashboards.files import DASHBOARDS, ROOT, load, queries

FILE = ROOT / "docs" / "dashboards.md"
_VIEW = re.compile(r"reporting\.(\w+)")
RANGES_DAYS = (7, 30)
UNMEASURED = ["not measured yet"] * len(RANGES_DAYS)
_HEAD = """# Dashboards

Six dashboards in `grafana/dashboards/`, the only copies: the chart provisions them, `make demo ARGS=--grafana` shows
them on one machine. They find the database by the variable *Data source*, lead to each other by the tag `clickstream`,
and read only schema `reporting`, as the role `grafana_reader`: read-only, 15 s a statement
unless somebody who may write SQL lifts that ([the walls](operations.md#roles)).

Every figure is exact and live: a view adds up the rollup and the events that are not in it yet. Days and hours are UTC.
A panel that counts by the hour shows whole hours: every hour that the time range touches. It takes whole days from the
daily rollups, and only the hours that are left at both ends from the hourly ones. A graph over time has a point for
each hour if the range is a week or shorter, and else for each day.

**Sites.** All but *Pipeline* have the choice *Site*: one, some or all. It holds for every panel that does not say
otherwise, and links between these dashboards keep it. Unique visitors are counted for each site and added up: who is on
two sites counts twice. What has the same name on several sites (a page, a product) is added up too. A session is of the
site that it began on; a move from page to page is of the site that was left.

**Conversion.** A session converts with a purchase, unless its site has goals of its own.

`tests/dashboards` runs every panel's SQL as Grafana would, and compares the rows with numbers that Python computes from
the raw events. This page is generated from the dashboards (`python -m tests.dashboards.document`). If a panel is empty,
see [troubleshooting](troubleshooting.md#5-events-arrive-and-dashboards-are-empty-or-old).

"""


def render(milliseconds: Mapping[str, Sequence[str]], measured: str) -> str:
    """The page; times by "dashboard: panel", one for each range."""
    parts = [_HEAD, f"Times: {measured}\n"]
    by_key = {query.key: query for query in queries()}
    for dashboard in map(load, DASHBOARDS):
        parts.append(f"\n## {dashboard['title']}\n\n{dashboard['description']}\n\n")
        parts.append(f"| panel | what it shows | views | {' | '.join(f'{days} days, ms' for days in RANGES_DAYS)} |\n")
        parts.append(f"|---|---|---|{'---:|' * len(RANGES_DAYS)}\n")
        for panel in dashboard["panels"]:
            key = f"{dashboard['title']}: {panel['title']}"
            views = ", ".join(f"`{view}`" for view in sorted(set(_VIEW.findall(by_key[key].sql))))
            cells = (panel["title"], panel["description"], views, *milliseconds.get(key, UNMEASURED))
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def times(text: str) -> tuple[dict[str, list[str]], str]:
    """The times that a page holds, and how they were measured."""
    found, dashboard, measured = {}, "", "not measured yet"
    for line in text.splitlines():
        if line.startswith("## "):
            dashboard = line.removeprefix("## ")
        elif line.startswith("Times: "):
            measured = line.removeprefix("Times: ")
        elif line.startswith("| ") and not line.startswith("| panel |"):
            panel, _, _, *milliseconds = line.strip("| ").split(" | ")
            found[f"{dashboard}: {panel}"] = milliseconds
    return found, measured


if __name__ == "__main__":
    FILE.write_text(render(*times(FILE.read_text() if FILE.exists() else "")))
