"""docs/dashboards.md says what the dashboards are."""

from tests.dashboards.document import FILE, UNMEASURED, render, times
from tests.dashboards.files import queries


def test_the_page_is_current() -> None:
    text = FILE.read_text()
    assert text == render(*times(text)), "run: python -m tests.dashboards.document"


def test_a_panel_has_its_times_or_says_that_it_was_not_measured_yet() -> None:
    found, _ = times(FILE.read_text())
    assert found.keys() == {query.key for query in queries()}
    for panel, milliseconds in found.items():
        assert milliseconds == UNMEASURED or all(map(str.isdigit, milliseconds)), panel


def test_a_panel_without_times_stays_so_until_it_is_measured() -> None:
    written = render({}, "not measured yet")
    found, measured = times(written)
    assert {*map(tuple, found.values())} == {tuple(UNMEASURED)}
    assert render(found, measured) == written
