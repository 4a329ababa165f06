"""The page of a run on one machine: figures over all sites, and the sites themselves where there are several."""

from collections import Counter
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from local import panels, queries
from local.page import WIDTH
from tests import oracle
from tests.dashboards.conftest import Filled
from tests.dashboards.macros import Span


@pytest.fixture
def content(filled: Filled) -> queries.Content:
    with filled.reader() as reader:
        return queries.content(reader)


def test_figures_are_of_all_sites_together(filled: Filled, content: queries.Content) -> None:
    facts = filled.facts(Span(filled.until, filled.until))
    by_site = Counter(map(oracle.site, facts.events))
    views = Counter(e["page_path"] for e in facts.events if e["event_type"] == "page_view")
    assert len(by_site) > 2
    assert dict(content.sites) == by_site
    assert {row.page_path: row.views for row in content.pages} == {
        row.page_path: views[row.page_path] for row in content.pages
    }
    assert [row.views for row in content.pages] == [n for _, n in views.most_common(queries.ROWS)]
    today = max(on for period, on in facts.visitor_counts if period == "day")
    assert content.visitors == (today, *facts.visitor_counts["day", today])
    assert content.sessions.sessions == len(facts.all_sessions)


def test_sites_are_listed_beside_the_countries_where_there_are_several(content: queries.Content) -> None:
    several, one = (_text(panels.countries(replace(content, sites=content.sites[:n]))) for n in (2, 1))
    assert "Sites, countries" in several[0]
    assert all(any(row.site in line for line in several) for row in content.sites[:2])
    assert "Sites" not in one[0]
    assert not any(content.sites[0].site in line for line in one)
    assert len(several) == len(one) == queries.ROWS + 2


def _text(panel: RenderableType) -> list[str]:
    page = StringIO()
    Console(file=page, width=WIDTH // 3).print(panel)
    return page.getvalue().splitlines()
