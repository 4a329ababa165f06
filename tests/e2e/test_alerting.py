"""Alerts on a cluster: a release that tells a webhook, set up as docs/kubernetes.md says."""

import pytest

from tests.dashboards.rules import rules
from tests.e2e import webhook
from tests.e2e.cluster import Manifest, Namespace, wait_until
from tests.e2e.database import Database
from tests.e2e.grafana import Grafana
from tests.e2e.pods import secret
from tests.e2e.release import Release

pytestmark = pytest.mark.timeout(600)

POSTGRES = {"instance": "clickstream", "name": "postgres"}
DASHBOARDS = {"instance": "clickstream", "component": "dashboards"}
ALERT = "RollupDrift"
RUNBOOKS = "https://example.com/runbooks/"
# Rules are evaluated once a minute, one after the other, on cores that others use as well.
EVALUATED_SECONDS = 180


@pytest.fixture(scope="module")
def release(namespace: Namespace) -> Release:
    """With a webhook that is there before the first alert."""
    namespace.apply([secret("on-call", addresses(namespace.name)), *webhook.manifests()])
    made = Release(namespace, "clickstream", Database(namespace, POSTGRES))
    made.install(values={"grafana": alerting()})
    namespace.wait_ready(1, webhook.LABELS)
    made.wait_for_events()
    return made


@pytest.fixture
def grafana(release: Release) -> Grafana:
    """Asked from the webhook's pod."""
    return Grafana(release.namespace, release.name, release.namespace, "webhook")


def test_only_those_who_log_in_see_anything(grafana: Grafana) -> None:
    """As the administrator, with the password that the chart made."""
    for user, password in (("", ""), ("admin", "admin"), ("admin", grafana.password[:-1])):
        status, _ = grafana.ask("/api/search", user, password)
        assert status == 401, f"{user}:{password}"
    assert grafana.get("/api/search")


def test_all_that_is_provisioned_is_there_and_every_rule_can_be_evaluated(release: Release, grafana: Grafana) -> None:
    """Grafana ends at a file that it can't take: it has never been started again."""
    wait_until(
        lambda: {rule["health"] for rule in grafana.rules()} == {"ok"},
        "every rule to be evaluated without error",
        EVALUATED_SECONDS,
        lambda: str([{key: rule.get(key) for key in ("name", "health", "lastError")} for rule in grafana.rules()]),
    )
    assert {rule["name"] for rule in grafana.rules()} == {rule.name for rule in rules()}
    points = grafana.get("/api/v1/provisioning/contact-points")
    assert {"on-call", "out-of-reach"} <= {point["name"] for point in points}
    (pod,) = release.namespace.pods(DASHBOARDS)
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]


def test_an_alert_reaches_the_webhook_and_is_taken_back_when_its_cause_is_mended(release: Release) -> None:
    """Somebody was in the tables: `verify` finds it, the alert tells it, and its runbook's remedy ends it."""
    change_a_figure(release)
    assert "traffic_minute" in release.aggregator("verify-changed", "verify", "--all", fails=True)
    wait_until_told(release.namespace, "firing")
    assert webhook.told(release.namespace, ALERT) == [as_told("firing")]
    release.aggregator("rebuild", "rebuild")
    release.verify()
    wait_until_told(release.namespace, "resolved")
    assert webhook.told(release.namespace, ALERT) == [as_told("firing"), as_told("resolved")]


def addresses(namespace: str) -> dict[str, str]:
    """What is in the Secret: two addresses of one receiver, of which Grafana may reach the first."""
    return {
        "WEBHOOK_URL": webhook.url(namespace),
        "OTHER_URL": webhook.url(namespace, webhook.OTHER_PORT),
    }


def alerting() -> Manifest:
    """Grafana's values. That nothing is heard at the other port shows what extraEgress is for."""
    route = {"object_matchers": [["alertname", "=", ALERT]], "continue": True}
    policy = {
        "orgId": 1,
        "receiver": "on-call",
        "group_by": ["grafana_folder", "alertname"],
        # Grafana's own 30 s and 5 min would be most of this test.
        "group_wait": "1s",
        "group_interval": "5s",
        "routes": [{"receiver": "on-call", **route}, {"receiver": "out-of-reach", **route}],
    }
    reachable = {"to": [{"podSelector": {"matchLabels": webhook.LABELS}}], "ports": [{"port": webhook.PORT}]}
    return {
        "alerting": {
            "runbooksUrl": RUNBOOKS,
            "contactPoints": [point("on-call", "$WEBHOOK_URL"), point("out-of-reach", "$OTHER_URL")],
            "policies": [policy],
        },
        "extraEnvFrom": [{"secretRef": {"name": "on-call"}}],
        "networkPolicy": {"extraEgress": [reachable]},
    }


def point(name: str, url: str) -> Manifest:
    """A contact point that is a webhook."""
    receiver = {"uid": name, "type": "webhook", "settings": {"url": url}}
    return {"orgId": 1, "name": name, "receivers": [receiver]}


def change_a_figure(release: Release) -> None:
    """One minute has an event more, as soon as the aggregator has rolled one up.

    By hand and as the owner, for this is the cause: no service of ours makes a figure wrong.
    """
    changed = """
        WITH one AS (SELECT * FROM clickstream.traffic_minute ORDER BY 1, 2, 3 LIMIT 1)
        UPDATE clickstream.traffic_minute AS t SET events = t.events + 1
        FROM one
        WHERE (t.minute, t.event_type, t.device_type) = (one.minute, one.event_type, one.device_type)
        RETURNING 1
    """
    wait_until(lambda: bool(release.database.execute(changed).strip()), "a figure to change", 150)


def as_told(status: str) -> webhook.Told:
    """What the webhook must have heard, and where."""
    return webhook.Told(webhook.PORT, "/path-of-tests", ALERT, status, f"{RUNBOOKS}{ALERT}.md")


def wait_until_told(namespace: Namespace, status: str) -> None:
    """Until the webhook has heard it."""
    wait_until(
        lambda: as_told(status) in webhook.told(namespace, ALERT),
        f"the webhook to be told {status}",
        EVALUATED_SECONDS,
        lambda: f"{namespace.logs(webhook.LABELS)}\n{namespace.logs(DASHBOARDS)}",
    )
