"""The rules for Prometheus: they ask for metrics that exist, lead to a runbook, and fire for trouble and not for rest.

TEST_PROMTOOL names Prometheus' own checker, `promtool`; without it, the tests that evaluate the rules are skipped.
"""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from services.consumer import metrics as _metrics  # noqa: F401 (registers them)
from tests.chart.render import ROOT, Object, one, render

_PROMTOOL = os.environ.get("TEST_PROMTOOL", "")
_RUNBOOKS = "https://example.com/runbooks/"
_AWAY, _STALLED, _RETRIES, _LAGS = (f"ClickstreamConsumer{name}" for name in ("Away", "Stalled", "Retries", "Lags"))
_POD = "clickstream-consumer-1"

evaluated = pytest.mark.skipif(not _PROMTOOL, reason="TEST_PROMTOOL names no promtool")


def _rules() -> list[Object]:
    values = {"prometheusRule": {"enabled": True, "runbooksUrl": _RUNBOOKS}}
    (group,) = one(render(values), "PrometheusRule", "clickstream")["spec"]["groups"]
    rules: list[Object] = group["rules"]
    return rules


def test_rules_ask_only_for_metrics_that_the_consumer_has() -> None:
    exported = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    for rule in _rules():
        asked = set(re.findall(r"clickstream_\w+", rule["expr"]))
        # One that has a label shows up with its first value.
        assert asked - {"clickstream_consumer_lag_messages"} <= exported, rule["alert"]


def test_every_rule_leads_to_a_runbook_that_is_there() -> None:
    pages = {rule["annotations"]["runbook_url"].removeprefix(_RUNBOOKS) for rule in _rules()}
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for page in pages:
        assert (ROOT / "docs" / "runbooks" / page).exists(), page
    assert {page for page in pages if page.startswith("Clickstream")} == {
        path.name for path in (ROOT / "docs" / "runbooks").glob("Clickstream*.md")
    }
    for rule in _rules():
        page = rule["annotations"]["runbook_url"].removeprefix(_RUNBOOKS)
        assert f"| [{rule['alert']}]({page}) | {rule['labels']['severity']} |" in index, rule["alert"]


def test_without_a_place_for_runbooks_nothing_links_to_them() -> None:
    rules = one(render({"prometheusRule": {"enabled": True}}), "PrometheusRule", "clickstream")
    assert "runbook_url" not in yaml.safe_dump(rules)


def test_the_values_that_the_docs_show_have_pods_scraped_and_rules_made() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    found = re.search(r"^## Prometheus$.*?^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    objects = render(yaml.safe_load(found[1]))
    for kind in ("PodMonitor", "PrometheusRule"):
        assert one(objects, kind, "clickstream")["metadata"]["labels"]["release"] == "prometheus"


def _pod(pod: str = _POD, **values: str) -> dict[str, str]:
    """A consumer's series, a value each half minute as promtool writes them; what is not given is as at rest."""
    rest = {"events": "7x100", "commit": "0x100", "lag_messages": "0x100", "lag_seconds": "0x100"}
    where = f'namespace="shop",pod="{pod}"'
    names = {
        "events": f'clickstream_consumer_events_total{{{where},outcome="stored"}}',
        "commit": f"clickstream_consumer_last_commit_timestamp_seconds{{{where}}}",
        "lag_messages": f'clickstream_consumer_lag_messages{{{where},partition="0"}}',
        "lag_seconds": f"clickstream_consumer_lag_seconds{{{where}}}",
        "database": f'clickstream_consumer_retries_total{{{where},reason="database"}}',
        "broker": f'clickstream_consumer_retries_total{{{where},reason="broker"}}',
    }
    return {names[name]: value for name, value in (rest | {"database": "0x100", "broker": "0x100"} | values).items()}


def _alert(name: str, **labels: str) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in {"alertname": name, **labels}.items()) + "}"


def _assert_firing(series: dict[str, str], at: str, alerts: Iterable[str], folder: Path) -> None:
    firing = {
        "expr": 'group by (alertname, pod, reason) (ALERTS{alertstate="firing"})',
        "eval_time": at,
        "exp_samples": [{"labels": labels, "value": 1} for labels in alerts],
    }
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    _promtool_test({"interval": "30s", "input_series": inputs, "promql_expr_test": [firing]}, folder)


def _promtool_test(test: Object, folder: Path) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "clickstream", "rules": _rules()}]}))
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": [test]}
    (folder / "tests.yaml").write_text(yaml.safe_dump(tests))
    for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", "tests.yaml"]):
        command = [_PROMTOOL, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@evaluated
def test_an_idle_consumer_is_not_told_of(tmp_path: Path) -> None:
    _assert_firing(_pod(), "40m", [], tmp_path)


@evaluated
def test_a_consumer_at_work_with_a_backlog_is_not_told_of_while_it_commits(tmp_path: Path) -> None:
    busy = _pod(events="0+500x100", commit="0+30x100", lag_messages="9000x100", lag_seconds="45x100")
    _assert_firing(busy, "40m", [], tmp_path)


@evaluated
@pytest.mark.parametrize("at", ["31m", "33m", "35m", "40m"])
def test_a_failover_of_seconds_during_a_long_rest_is_not_told_of(tmp_path: Path, at: str) -> None:
    _assert_firing(_pod(database="0x59 8x40"), at, [], tmp_path)


@evaluated
@pytest.mark.parametrize("at", ["30m30s", "31m", "35m"])
def test_a_message_after_a_long_rest_is_not_told_of_while_it_waits_to_be_stored(tmp_path: Path, at: str) -> None:
    message = _pod(events="7x61 8x38", commit="0x61 1830x38", lag_messages="0x60 1x0 0x38", lag_seconds="0x60 2x0 0x38")
    _assert_firing(message, at, [], tmp_path)


@evaluated
def test_a_database_away_while_messages_come_is_told_of_within_seven_minutes(tmp_path: Path) -> None:
    away = _pod(
        events="0+500x20 10000x80",
        commit="0+30x20 600x80",
        lag_messages="0x20 0+500x80",
        lag_seconds="0x20 0+30x80",
        database="0x20 0+6x80",
    )
    expected = [_alert(_STALLED, pod=_POD), _alert(_RETRIES, pod=_POD, reason="database"), _alert(_LAGS)]
    _assert_firing(away, "17m30s", expected, tmp_path)


@evaluated
def test_a_consumer_that_has_committed_nothing_since_its_start_and_knows_no_lag_is_told_of(tmp_path: Path) -> None:
    """It started without the database: it has no partitions yet, so nothing says what waits."""
    starting = {name: value for name, value in _pod(database="0+6x100").items() if "lag_messages" not in name}
    expected = [_alert(_STALLED, pod=_POD), _alert(_RETRIES, pod=_POD, reason="database")]
    _assert_firing(starting, "7m", expected, tmp_path)


@evaluated
def test_the_one_that_is_stalled_is_named_and_others_are_not(tmp_path: Path) -> None:
    well = _pod("clickstream-consumer-2", events="0+500x100", commit="0+30x100", lag_messages="9x100")
    stuck = _pod(lag_messages="50x100", broker="0+15x100")
    expected = [_alert(_STALLED, pod=_POD), _alert(_RETRIES, pod=_POD, reason="broker")]
    _assert_firing(well | stuck, "7m", expected, tmp_path)


@evaluated
def test_a_try_every_two_minutes_is_seen_as_one_that_goes_on(tmp_path: Path) -> None:
    """A call to a server that hangs is cut after 120 seconds at the latest."""
    hangs = _pod(database="0 1x3 2x3 3x3 4x3 5x3 6x3 7x3")
    _assert_firing(hangs, "9m", [_alert(_STALLED, pod=_POD), _alert(_RETRIES, pod=_POD, reason="database")], tmp_path)


@evaluated
def test_no_consumer_at_all_is_told_of(tmp_path: Path) -> None:
    _assert_firing({}, "6m", [_alert(_AWAY)], tmp_path)


@evaluated
def test_an_alert_says_which_pod_for_how_long(tmp_path: Path) -> None:
    inputs = [{"series": name, "values": values} for name, values in _pod(lag_messages="50x100").items()]
    told = {
        "exp_labels": {"severity": "critical", "namespace": "shop", "pod": _POD},
        "exp_annotations": {
            "summary": f"{_POD} has committed nothing for 10m 0s, and it should.",
            "runbook_url": f"{_RUNBOOKS}{_STALLED}.md",
        },
    }
    asked = {"eval_time": "10m", "alertname": _STALLED, "exp_alerts": [told]}
    _promtool_test({"interval": "30s", "input_series": inputs, "alert_rule_test": [asked]}, tmp_path)
