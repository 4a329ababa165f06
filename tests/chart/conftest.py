"""Chart tests need Helm 3.14 or newer, or 4; HELM=/path names another than the PATH's."""

import os

import pytest

from tests.chart.render import helm_program


def pytest_addoption(parser: pytest.Parser) -> None:
    """One flag writes the goldens anew."""
    parser.addoption("--update-golden", action="store_true", help="write tests/chart/golden anew")


@pytest.fixture(autouse=True, scope="session")
def _helm() -> None:
    if helm_program() is None:
        reason = "helm is missing: https://helm.sh/docs/intro/install/, or make test-chart where Go is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
