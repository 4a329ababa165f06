"""One install of the chart through all that may happen to it. The tests run in this order; each leaves it whole."""

import pytest

from tests.e2e import helm
from tests.e2e.cluster import Manifest, Namespace, wait_until
from tests.e2e.database import Database
from tests.e2e.release import Release
from tests.e2e.tools import connecting, tools

pytestmark = pytest.mark.timeout(600)

PER_SECOND = 1_000
POSTGRES = {"instance": "clickstream", "name": "postgres"}
BROKER = {"instance": "clickstream", "name": "redpanda"}
CONSUMERS = {"instance": "clickstream", "component": "consumer"}
NEWER = """
CREATE TABLE clickstream.note (n integer);
INSERT INTO clickstream.schema_migration (name, checksum, works_with)
VALUES ('9000_create_note.sql', 'of a newer version', '0.1.0');
"""
NEWER_UNDONE = """
DROP TABLE clickstream.note;
DELETE FROM clickstream.schema_migration WHERE name = '9000_create_note.sql';
"""


@pytest.fixture(scope="module")
def release(namespace: Namespace) -> Release:
    """Installed as a person would; nothing is waited for, pods start in any order."""
    made = Release(namespace, "clickstream", Database(namespace, POSTGRES))
    made.install()
    made.wait_for_events()
    return made


def test_events_flow_unattended_from_an_empty_namespace_to_reporting(release: Release) -> None:
    """Everything rolls out, and events go on arriving."""
    for component in ("producer", "consumer"):
        release.wait_rolled_out(component)
    release.wait_for_more_events()


def test_reporting_equals_a_recount_of_the_raw_events(release: Release) -> None:
    """With late and repeated events among them."""
    release.start_load("load-recount", events=15_000, per_second=PER_SECOND)
    release.finish_load("load-recount")
    assert release.assert_exact("recount") >= 14_000


def test_helm_test_proves_the_flow(release: Release) -> None:
    """Marked events arrive in reporting."""
    assert "Succeeded" in helm.helm(release.namespace, "test", release.name, "--timeout", "3m")


def test_consumers_scaled_from_one_to_four_and_back_lose_and_double_nothing(release: Release) -> None:
    """While messages come in, all four get work."""
    release.start_load("load-scale", events=-1, per_second=PER_SECOND)
    for replicas in (4, 1):
        release.scale("consumer", replicas)
        release.wait_for_consumers_at_work(replicas)
    release.stop_load("load-scale")
    release.assert_exact("scale")


def test_deleted_pods_come_back_and_nothing_is_lost_or_doubled(release: Release) -> None:
    """The database, the broker and the consumers in turn, under load; the consumers are killed without a word."""
    release.start_load("load-chaos", events=-1, per_second=PER_SECOND)
    release.scale("consumer", 2)
    for victim, grace_seconds, count in ((POSTGRES, None, 1), (BROKER, None, 1), (CONSUMERS, 0, 2)):
        release.namespace.delete_pods(victim, grace_seconds)
        release.namespace.wait_ready(count, victim)
        release.wait_for_more_events()
    release.stop_load("load-chaos")
    release.assert_exact("chaos")
    release.scale("consumer", 1)


def test_the_aggregator_runs_on_its_schedule_and_records_its_runs(release: Release) -> None:
    """A run's row says what it rolled up, and that it ended without error."""
    query = "SELECT * FROM reporting.aggregator_run WHERE finished_at IS NOT NULL AND events > 0"
    wait_until(lambda: bool(release.database.rows(query)), "a finished run", 180, release.namespace.report)
    runs = release.database.rows("SELECT * FROM reporting.aggregator_run WHERE error IS NOT NULL")
    assert runs == []


def test_an_upgrade_keeps_data_passwords_positions_and_what_kubectl_scaled(release: Release) -> None:
    """Changed values reach the pods."""
    release.scale("consumer", 2)
    secrets, positions = passwords(release), release.database.positions()
    events = release.database.value("SELECT count(*) FROM clickstream.event")
    release.install(values={"consumer": {"batchSize": 7_000}})
    for component in ("producer", "consumer"):
        release.wait_rolled_out(component)
    assert len(release.namespace.wait_ready(2, CONSUMERS)) == 2
    assert {pod_environment(pod)["CONSUMER_BATCH_SIZE"] for pod in release.namespace.pods(CONSUMERS)} == {"7000"}
    assert passwords(release) == secrets
    assert release.database.value("SELECT count(*) FROM clickstream.event") >= events
    now = release.database.positions()
    assert all(now[partition] >= position for partition, position in positions.items())
    release.start_load("load-upgraded", events=10_000, per_second=PER_SECOND)
    release.finish_load("load-upgraded")
    assert release.assert_exact("upgraded") >= events + 9_000


def test_a_rollback_starts_the_older_release_on_the_newer_database(release: Release) -> None:
    """Whose last migration says that the older services work with it."""
    release.install(values={"consumer": {"batchSize": 9_000}})
    for component in ("producer", "consumer"):
        release.wait_rolled_out(component)
    release.database.execute(NEWER)
    helm.helm(release.namespace, "rollback", release.name)
    for component in ("producer", "consumer"):
        release.wait_rolled_out(component)
    assert {pod_environment(pod)["CONSUMER_BATCH_SIZE"] for pod in release.namespace.pods(CONSUMERS)} == {"7000"}
    release.scale("producer", 1)
    release.wait_for_more_events()
    assert release.database.value("SELECT count(*) FROM clickstream.note") == 0, "the newer schema was left alone"
    release.assert_exact("rolled-back")
    release.database.execute(NEWER_UNDONE)


def test_a_pod_that_is_not_ours_reaches_neither_postgres_nor_the_broker(release: Release) -> None:
    """The same connection that a consumer makes."""
    ours = release.namespace.ready_pods(CONSUMERS)[0]
    release.namespace.apply([tools("stranger")])
    release.namespace.wait_ready(1, {"app": "stranger"})
    for service, port in (("postgres", 5432), ("redpanda", 9092)):
        program = connecting(f"{release.name}-{service}", port)
        assert release.namespace.execute(ours, program).strip() == "connected"
        assert release.namespace.execute("stranger", program).strip() == "refused"
    release.namespace.delete_pods({"app": "stranger"}, 0)


def test_uninstall_leaves_the_data_and_an_install_after_it_goes_on_with_them(release: Release) -> None:
    """Only the volumes stay, and the Secret without which they could not be opened."""
    events = release.database.value("SELECT count(*) FROM clickstream.event")
    release.uninstall()
    wait_until(
        lambda: what_is_left(release.namespace).keys() == {"persistentvolumeclaims", "secrets"},
        "nothing but volumes and the passwords to be left",
        60,
        lambda: f"there are {what_is_left(release.namespace)}",
    )
    release.install()
    release.wait_rolled_out("consumer")
    release.wait_rolled_out("producer")
    wait_until(lambda: release.database.stored() > events, "more events", 120, release.namespace.report)
    assert release.assert_exact("reinstalled") > events
    release.uninstall()


def passwords(release: Release) -> dict[str, dict[str, str]]:
    """All Secrets of the release, but Helm's own records."""
    found = release.namespace.core.list_namespaced_secret(release.namespace.name).items
    return {secret.metadata.name: dict(secret.data) for secret in found if secret.type != "helm.sh/release.v1"}


def pod_environment(pod: Manifest) -> dict[str, str]:
    """The variables set in clear."""
    return {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"] if "value" in one}


def what_is_left(namespace: Namespace) -> dict[str, list[str]]:
    """Objects that are not the cluster's own, by kind."""
    name, api = namespace.name, namespace
    listed = {
        "persistentvolumeclaims": api.core.list_namespaced_persistent_volume_claim(name),
        "secrets": api.core.list_namespaced_secret(name),
        "configmaps": api.core.list_namespaced_config_map(name),
        "services": api.core.list_namespaced_service(name),
        "serviceaccounts": api.core.list_namespaced_service_account(name),
        "pods": api.core.list_namespaced_pod(name),
        "deployments": api.apps.list_namespaced_deployment(name),
        "statefulsets": api.apps.list_namespaced_stateful_set(name),
        "cronjobs": api.batch.list_namespaced_cron_job(name),
        "networkpolicies": api.network.list_namespaced_network_policy(name),
        "poddisruptionbudgets": api.policy.list_namespaced_pod_disruption_budget(name),
    }
    clusters_own = {"kube-root-ca.crt", "default"}
    names = {
        kind: sorted({item.metadata.name for item in found.items} - clusters_own) for kind, found in listed.items()
    }
    return {kind: found for kind, found in names.items() if found}
