"""What each panel must answer, by dashboard and title."""

from collections.abc import Callable
from typing import Any

from tests.dashboards import expected_pipeline, expected_sessions, expected_shop, expected_traffic
from tests.dashboards.facts import Facts

Rows = list[tuple[Any, ...]]
ANSWERS: dict[str, Callable[[Facts], Rows]] = {
    **expected_traffic.ANSWERS,
    **expected_shop.ANSWERS,
    **expected_sessions.ANSWERS,
    **expected_pipeline.ANSWERS,
}
