"""Rules for dashboards, which can't be looked at here: what a picture would show must be right by construction."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.files import DASHBOARDS, load

TITLES = ["Commerce", "Live", "Pages", "Pipeline", "Sessions", "Traffic"]
FOLD_HEIGHT = 28  # grid units of 30 pixels and their gaps on a screen of 1080 lines
TITLE_CHARACTERS_PER_COLUMN = 5.0
SOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
UNITS = {"short", "none", "locale", "s", "d", "cps", "percentunit", "bytes", "dateTimeAsIso"}


@pytest.fixture(params=DASHBOARDS, ids=lambda file: file.name)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def dashboard(file: Path) -> dict[str, Any]:
    return load(file)


def test_there_are_six_with_uids_titles_and_slugs_of_their_own() -> None:
    dashboards = [load(file) for file in DASHBOARDS]
    assert sorted(d["title"] for d in dashboards) == TITLES
    assert [d["uid"] for d in dashboards] == [f"clickstream-{file.stem}" for file in DASHBOARDS]


def test_the_text_is_sorted_and_indented_so_that_changes_can_be_read(file: Path) -> None:
    text = file.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_it_is_a_classic_dashboard_that_stands_for_itself(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == 42
    assert dashboard["id"] is None
    assert dashboard["timezone"] == "utc"
    assert dashboard["description"]
    assert dashboard["tags"] == ["clickstream"]
    [link] = dashboard["links"]
    assert (link["type"], link["tags"], link["keepTime"], link["includeVars"]) == (
        "dashboards",
        ["clickstream"],
        True,
        True,
    )


def test_panel_ids_and_titles_are_used_once(dashboard: dict[str, Any]) -> None:
    for key in ("id", "title"):
        assert not [value for value, n in Counter(panel[key] for panel in dashboard["panels"]).items() if n > 1]


def test_rows_are_full_and_of_one_height_and_nothing_overlaps(dashboard: dict[str, Any]) -> None:
    rows: dict[int, list[dict[str, int]]] = {}
    for panel in dashboard["panels"]:
        rows.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    bottom = 0
    for y, row in sorted(rows.items()):
        assert y == bottom
        assert sum(place["w"] for place in row) == 24
        assert len({place["h"] for place in row}) == 1
        bottom = y + row[0]["h"]
    for a, b in combinations((panel["gridPos"] for panel in dashboard["panels"]), 2):
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert apart or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_at_most_twelve_panels_are_above_the_fold(dashboard: dict[str, Any]) -> None:
    assert sum(panel["gridPos"]["y"] < FOLD_HEIGHT for panel in dashboard["panels"]) <= 12


def test_every_panel_says_what_it_shows_in_which_unit_and_what_emptiness_means(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith(".") or panel["description"].endswith(")"), panel["title"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert len(defaults["noValue"]) > 5, panel["title"]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["id"] == "byName"
            units = {p["value"] for p in override["properties"] if p["id"] == "unit"}
            assert units <= UNITS, panel["title"]
            column = f'"{override["matcher"]["options"]}"'
            assert column in panel["targets"][0]["rawSql"], f"{panel['title']} has no column {column}"


def test_titles_fit_and_columns_fit(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        width = panel["gridPos"]["w"]
        assert len(panel["title"]) <= width * TITLE_CHARACTERS_PER_COLUMN, panel["title"]
        fixed = sum(
            p["value"] for o in panel["fieldConfig"]["overrides"] for p in o["properties"] if p["id"] == "custom.width"
        )
        assert fixed <= width * 75, f"{panel['title']}: columns of {fixed} pixels"


def test_every_query_goes_through_the_variable_and_reads_reporting_only(dashboard: dict[str, Any]) -> None:
    variables = {v["name"]: v for v in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", SOURCE["type"])
    for variable in variables.values():
        assert variable["type"] != "query" or variable["datasource"] == SOURCE
    for panel in dashboard["panels"]:
        assert panel["datasource"] == SOURCE
        [target] = panel["targets"]
        assert target["datasource"] == SOURCE
        assert "reporting." in target["rawSql"]
        assert "clickstream." not in target["rawSql"].replace("'clickstream.", "")
        assert target["format"] == ("time_series" if panel["type"] == "timeseries" else "table")
        assert panel["type"] != "table" or "LIMIT" in target["rawSql"] or panel["title"] in _SHORT_TABLES


def test_every_figure_of_visitors_is_of_the_chosen_sites(dashboard: dict[str, Any]) -> None:
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    if dashboard["title"] == "Pipeline":
        assert "site" not in names
        return
    assert names[:2] == ["datasource", "site"]
    for panel in dashboard["panels"]:
        query = panel["targets"][0]["rawSql"]
        reads = 0 if panel["title"] in _WHATEVER_THE_SITE else query.count("reporting.")
        assert query.count("site IN (${site:sqlstring})") == reads, panel["title"]
        assert "site" in panel["description"], panel["title"]


def test_links_to_a_dashboard_keep_what_is_chosen(dashboard: dict[str, Any]) -> None:
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    overrides = [o for panel in dashboard["panels"] for o in panel["fieldConfig"]["overrides"]]
    links = [link for o in overrides for p in o["properties"] if p["id"] == "links" for link in p["value"]]
    for link in links:
        assert all(f"${{{name}:queryparam}}" in link["url"] or f"var-{name}=" in link["url"] for name in names)


_WHATEVER_THE_SITE = {"Events per second", "Newest event", "Events of one session"}
_SHORT_TABLES = {"Drop-off", "Page views by hour and weekday", "Balance sheet by partition", "Drift by rollup"}


def test_maps_ask_nothing_of_an_outside_server(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] == "geomap":
            base, [layer] = panel["options"]["basemap"], panel["options"]["layers"]
            assert (base["type"], base["config"]["src"]) == ("geojson", "public/maps/countries.geojson")
            assert layer["location"]["gazetteer"] == "public/gazetteer/countries.json"
            for column in (layer["location"]["lookup"], layer["config"]["style"]["size"]["field"]):
                assert f'"{column}"' in panel["targets"][0]["rawSql"]
