"""What the project says about itself agrees with what it is: licence, links, commands, versions."""

import re
import tomllib
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from services import __version__

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
CHARTS = [ROOT / "charts/clickstream", *sorted((ROOT / "charts/clickstream/charts").iterdir())]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of apache.org/licenses/LICENSE-2.0.txt
_FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^ *```sh\n(.*?)^ *```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))


def _names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def test_the_licence_is_apache_2_to_the_letter() -> None:
    assert sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == _APACHE_2


def test_python_package_and_charts_name_the_licence() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    for chart in CHARTS:
        described = yaml.safe_load((chart / "Chart.yaml").read_text())
        assert described["annotations"]["artifacthub.io/license"] == "Apache-2.0", chart.name


@pytest.mark.parametrize("page", PAGES, ids=_names(PAGES))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text())
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=_names(PAGES))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    for block, inline in _CODE.findall(page.read_text()):
        for line in (block or inline).splitlines():
            command = re.match(r"\s*make((?: +[a-z][a-z0-9-]*)+)(?= *$| +[A-Z#])", line)
            for target in command[1].split() if command else ():
                assert target in _TARGETS, f"{page.name}: {line}"


def test_the_readme_says_which_versions_are_needed() -> None:
    python = PROJECT["requires-python"].removeprefix(">=")
    chart = yaml.safe_load((CHARTS[0] / "Chart.yaml").read_text())
    kubernetes = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    helm = re.search(r"helm\.sh/docs/intro/install/\$\(comma\) version (\S+) or newer", MAKEFILE)
    assert f"| Python | {python} or newer |" in README
    assert f"| Kubernetes | {kubernetes} or newer |" in README
    assert helm is not None
    assert f"| Helm | {helm[1]} or newer" in README


def test_package_chart_and_changelog_have_one_version() -> None:
    chart = yaml.safe_load((CHARTS[0] / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == PROJECT["version"] == __version__
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def _anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
