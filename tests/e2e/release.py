"""One install of the chart: its objects by name, load put on it, and what to hold it to."""

from copy import deepcopy
from dataclasses import dataclass

from tests.e2e import helm
from tests.e2e.audit import Audit
from tests.e2e.cluster import Labels, Manifest, Namespace, ProgramError, wait_until
from tests.e2e.database import Database

VERIFY_SECONDS = 240


@dataclass(frozen=True)
class Release:
    """A release of the chart in a namespace, and its database, which may live elsewhere."""

    namespace: Namespace
    name: str
    database: Database

    @property
    def audit(self) -> Audit:
        """The judge."""
        return Audit(self.namespace, self.database, self.name)

    def labels(self, component: str) -> Labels:
        """By which its pods are found."""
        return {"instance": self.name, "component": component}

    def object(self, component: str) -> str:
        """The name of a component's object: the chart's name is not repeated in a release that has it."""
        return f"{self.name}-{component}" if "clickstream" in self.name else f"{self.name}-clickstream-{component}"

    def install(self, *arguments: str, values: Manifest | None = None) -> str:
        """Install it, or upgrade it."""
        return helm.install(self.namespace, self.name, *arguments, values=values)

    def uninstall(self) -> None:
        """As a person does."""
        helm.helm(self.namespace, "uninstall", self.name, "--wait")

    def wait_for_events(self, seconds: float = 300) -> None:
        """Until the first events are where Grafana reads."""

        def flowing() -> bool:
            try:
                return bool(self.database.value("SELECT coalesce(sum(events), 0) FROM reporting.traffic_minute"))
            except (AssertionError, ProgramError):  # no server yet, or no schema yet
                return False

        wait_until(flowing, "events in reporting", seconds, self.namespace.report)

    def wait_for_more_events(self, seconds: float = 120) -> None:
        """Until consumers store what they had not stored before."""
        before = self.database.stored()
        wait_until(lambda: self.database.stored() > before, "more events", seconds, self.namespace.report)

    def wait_for_consumers_at_work(self, count: int, seconds: float = 90) -> None:
        """Until so many different consumers have stored something from now on."""
        last = self.database.value("SELECT coalesce(max(batch_id), 0) FROM reporting.ingest_batch")
        query = f"SELECT count(DISTINCT consumer) FROM reporting.ingest_batch WHERE batch_id > {last}"
        wait_until(lambda: bool(self.database.value(query) >= count), f"{count} consumers at work", seconds)

    def wait_rolled_out(self, component: str, seconds: float = 180) -> None:
        """Until a Deployment's pods are all of its newest kind, and ready."""

        def done() -> bool:
            found = self.namespace.apps.read_namespaced_deployment_status(self.object(component), self.namespace.name)
            wanted, status = found.spec.replicas, found.status
            counts = {status.replicas or 0, status.updated_replicas or 0, status.ready_replicas or 0}
            return bool(status.observed_generation == found.metadata.generation and counts == {wanted})

        wait_until(done, f"the rollout of {component}", seconds, self.namespace.report)

    def scale(self, component: str, replicas: int) -> None:
        """`kubectl scale`, and wait until it is so."""
        self.namespace.scale(self.object(component), replicas)
        self.namespace.wait_ready(replicas, self.labels(component))

    def start_load(self, name: str, events: int, per_second: int, share: float = 0.05) -> None:
        """A Job like the producer's pods that sends so many messages (-1: for ever), a share twice, a share late."""
        found = self.namespace.apps.read_namespaced_deployment(self.object("producer"), self.namespace.name)
        options = {"events": events, "rate": per_second, "duplicates": share, "late": share}
        sending = ["simulate", *(word for name, value in options.items() for word in (f"--{name}", f"{value}"))]
        template = self.namespace.plain(found)["spec"]["template"]
        self._start_job(name, template, sending)

    def finish_load(self, name: str, seconds: float = 240) -> None:
        """Wait until it has sent all."""
        self.namespace.finish_job(name, seconds)

    def stop_load(self, name: str) -> None:
        """End one that would go on; it delivers what it has begun."""
        status = self.namespace.batch.read_namespaced_job_status(name, self.namespace.name).status
        assert status.active, f"job {name} has ended before it was stopped:\n{self.namespace.logs({'job-name': name})}"
        self.namespace.delete_job(name)

    def verify(self, name: str = "verify") -> str:
        """The aggregator's own recount; fails if anything differs."""
        log = self.aggregator(name, "verify", "--all")
        assert "0 differences" in log, log
        return log

    def aggregator(self, name: str, *command: str, fails: bool = False) -> str:
        """A command of the aggregator, as a Job; returns what it says. With `fails` it must fail."""
        found = self.namespace.batch.read_namespaced_cron_job(self.object("aggregator"), self.namespace.name)
        template = self.namespace.plain(found)["spec"]["jobTemplate"]["spec"]["template"]
        self._start_job(name, template, [*command])
        return self.namespace.finish_job(name, VERIFY_SECONDS, fails=fails)

    def assert_exact(self, name: str) -> int:
        """Every event once, every number as a recount says; returns how many there are. The producer stops first."""
        self.scale("producer", 0)
        events = self.audit.assert_exactly_once()
        self.audit.assert_reporting_is_exact()
        self.verify(f"verify-{name}")
        return events

    def _start_job(self, name: str, template: Manifest, arguments: list[str]) -> None:
        template = deepcopy(template)
        template["spec"]["restartPolicy"] = "Never"
        container = template["spec"]["containers"][0]
        container["args"][1:] = arguments  # the first names the service
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            container.pop(probe, None)
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"metadata": template["metadata"], "spec": template["spec"]}},
        }
        self.namespace.apply([job])
