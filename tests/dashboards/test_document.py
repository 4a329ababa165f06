"""docs/dashboards.md says what the dashboards are."""

from tests.dashboards.document import FILE, render, times


def test_the_page_is_current() -> None:
    text = FILE.read_text()
    assert text == render(*times(text)), "run: python -m tests.dashboards.document"


def test_every_panel_was_measured() -> None:
    found, _ = times(FILE.read_text())
    assert not [panel for panel, milliseconds in found.items() if "?" in milliseconds]
