"""A namespace of a cluster: pods found by label, programs run in them, Jobs, and deadlines to wait by."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from kubernetes import client, config, stream
from kubernetes.client import ApiException
from kubernetes.stream import ws_client

Manifest = dict[str, Any]
Labels = dict[str, str]

INSTANCE = "app.kubernetes.io/instance"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
# What `create` puts on a namespace, and without which `delete` touches none.
_OURS = {"app.kubernetes.io/managed-by": "clickstream-e2e"}
_RESTRICTED = "pod-security.kubernetes.io/enforce"
_POLL_SECONDS = 1.0


def wait_until(done: Callable[[], bool], what: str, seconds: float = 120, state: Callable[[], str] = str) -> None:
    """Ask about once a second; fail at the deadline, saying what was waited for and how things stand."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}\n{state()}"
        time.sleep(_POLL_SECONDS)


def _connect(context: str) -> Any:
    return config.new_client_from_config(context=context)  # type: ignore[no-untyped-call]


class ProgramError(Exception):
    """A program that a test ran in a pod failed; the message holds its stderr."""


class ForeignNamespaceError(Exception):
    """A namespace that was there is not the tests' own; the message says how to go on."""


class Namespace:
    """One namespace. Where a call returns objects, they are the API's JSON as dicts."""

    def __init__(self, name: str, context: str) -> None:
        self.name, self.context = name, context
        # Its types declare every field optional.
        self._api: Any = _connect(context)
        self.core: Any = client.CoreV1Api(self._api)
        self.apps: Any = client.AppsV1Api(self._api)
        self.batch: Any = client.BatchV1Api(self._api)
        self.network: Any = client.NetworkingV1Api(self._api)
        self.policy: Any = client.PolicyV1Api(self._api)
        # Running programs replaces how a client sends its requests, so it has one of its own.
        self._streaming: Any = client.CoreV1Api(_connect(context))

    def create(self) -> None:
        """Make it anew, with the restricted Pod Security Standard enforced.

        Raises:
            ForeignNamespaceError: there is one of that name that `create` did not make.
        """
        self.delete()
        labels = _OURS | {_RESTRICTED: "restricted"}
        self.core.create_namespace({"metadata": {"name": self.name, "labels": labels}})

    def delete(self) -> None:
        """Delete it and all it holds, if it is there; returns when it is gone.

        Raises:
            ForeignNamespaceError: `create` did not make it.
        """
        found = self._find()
        if found is None:
            return
        if not _OURS.items() <= (found.labels or {}).items():
            raise ForeignNamespaceError(
                f"namespace {self.name} of {self.context} was not made by these tests, it lacks the label "
                f"{selector(_OURS)}: delete it yourself, or name another by E2E_NAMESPACE"
            )
        # That one, not a namesake that somebody has made since.
        self.core.delete_namespace(self.name, body={"preconditions": {"uid": found.uid}})
        wait_until(lambda: self._find() is None, f"namespace {self.name} to go", 180)

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create objects."""
        for manifest in manifests:
            match manifest["kind"]:
                case "Pod":
                    self.core.create_namespaced_pod(self.name, manifest)
                case "Job":
                    self.batch.create_namespaced_job(self.name, manifest)
                case "Service":
                    self.core.create_namespaced_service(self.name, manifest)
                case "Secret":
                    self.core.create_namespaced_secret(self.name, manifest)
                case "ConfigMap":
                    self.core.create_namespaced_config_map(self.name, manifest)

    def pods(self, labels: Labels) -> list[Manifest]:
        """The pods of a component that have not ended and are not going away."""
        found = self.core.list_namespaced_pod(self.name, label_selector=selector(labels)).items
        return [pod for pod in map(self.plain, found) if _is_alive(pod)]

    def ready_pods(self, labels: Labels) -> list[str]:
        """The names of those that are ready."""
        return [pod["metadata"]["name"] for pod in self.pods(labels) if is_ready(pod)]

    def wait_ready(self, count: int, labels: Labels, seconds: float = 180) -> list[str]:
        """Wait until exactly so many pods exist and are ready; returns their names."""

        def settled() -> bool:
            return len(self.pods(labels)) == len(self.ready_pods(labels)) == count

        wait_until(settled, f"{count} ready pods of {selector(labels)}", seconds, self.report)
        return self.ready_pods(labels)

    def delete_pods(self, labels: Labels, grace_seconds: int | None = None) -> None:
        """Delete the pods of a component; with 0 seconds of grace they are killed. Returns when they are gone."""
        doomed = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in self.pods(labels)}
        for name in doomed.values():
            self.core.delete_namespaced_pod(name, self.name, grace_period_seconds=grace_seconds)

        def gone() -> bool:
            present = self.core.list_namespaced_pod(self.name, label_selector=selector(labels)).items
            return not doomed.keys() & {pod.metadata.uid for pod in present}

        wait_until(gone, f"{', '.join(doomed.values())} to go", 120)

    def scale(self, deployment: str, replicas: int) -> None:
        """As `kubectl scale` does."""
        self.apps.patch_namespaced_deployment_scale(deployment, self.name, {"spec": {"replicas": replicas}})

    def secret(self, name: str) -> dict[str, str]:
        """Its data, still base64."""
        return dict(self.core.read_namespaced_secret(name, self.name).data or {})

    def execute(self, pod: str, command: list[str], container: str | None = None, seconds: int = 120) -> str:
        """Run a program in a pod; returns what it prints.

        Raises:
            ProgramError: it failed, did not end in time, or the pod could not run it.
        """
        given = {"container": container} if container else {}
        call = self._streaming.connect_get_namespaced_pod_exec
        channels = {"stdout": True, "stderr": True, "stdin": False, "tty": False}
        try:
            running = stream.stream(call, pod, self.name, command=command, **channels, _preload_content=False, **given)
        except ApiException as error:
            raise ProgramError(f"{pod} can't run {command[:2]}: {error.reason}") from None
        running.run_forever(timeout=seconds)
        ended = not running.is_open()
        running.close()
        output, errors = running.read_channel(ws_client.STDOUT_CHANNEL), running.read_channel(ws_client.STDERR_CHANNEL)
        status = json.loads(running.read_channel(ws_client.ERROR_CHANNEL) or "{}")
        if not ended or status.get("status") != "Success":
            why = status.get("message", "the connection broke") if ended else f"not ended within {seconds} s"
            raise ProgramError(f"{command[:2]} in {pod}: {why}: {errors[-4000:]}")
        return str(output)

    def finish_job(self, name: str, seconds: float, *, fails: bool = False) -> str:
        """Wait until a Job has succeeded, or failed where it must, and remove it; returns its log."""
        wait_until(lambda: self._job_ended(name), f"job {name} to end", seconds, self.report)
        status = self.batch.read_namespaced_job_status(name, self.name).status
        log = self.logs({"job-name": name})
        assert bool(status.succeeded) is not fails, f"job {name} {'succeeded' if fails else 'failed'}:\n{log}"
        self.delete_job(name)
        return log

    def delete_job(self, name: str) -> None:
        """Delete a Job, if it is there; returns when its pods are gone."""
        try:
            self.batch.delete_namespaced_job(name, self.name, propagation_policy="Background")
        except ApiException as error:
            if error.status != 404:
                raise
        pods = {"label_selector": selector({"job-name": name})}
        wait_until(lambda: not self.core.list_namespaced_pod(self.name, **pods).items, f"pods of {name} to go", 120)

    def logs(self, labels: Labels, lines: int = 40) -> str:
        """The last lines of every pod of a component."""
        texts = []
        for pod in self.core.list_namespaced_pod(self.name, label_selector=selector(labels)).items:
            try:
                text = self.core.read_namespaced_pod_log(pod.metadata.name, self.name, tail_lines=lines)
            except ApiException as error:
                text = str(error.reason)
            texts.append(text)
        return "\n".join(texts)

    def report(self) -> str:
        """One line a pod, and the last warnings: what one looks at first when something does not come up."""
        lines = [
            f"{pod['metadata']['name']}: {pod['status'].get('phase')} "
            + " ".join(
                f"{status['name']}={'ready' if status['ready'] else next(iter(status['state']), '?')}"
                f"({status['restartCount']} restarts)"
                for status in pod["status"].get("initContainerStatuses", [])
                + pod["status"].get("containerStatuses", [])
            )
            for pod in map(self.plain, self.core.list_namespaced_pod(self.name).items)
        ]
        events = self.core.list_namespaced_event(self.name, field_selector="type=Warning").items
        warnings = [f"{event.involved_object.name}: {event.message}" for event in events[-10:]]
        return "\n".join(["pods:", *lines, "warnings:", *warnings])

    def plain(self, thing: object) -> Manifest:
        """An object of the API as it is in JSON."""
        found: Manifest = json.loads(json.dumps(self._api.sanitize_for_serialization(thing)))
        return found

    def _find(self) -> Any:
        """Its metadata, None where there is no such namespace."""
        try:
            return self.core.read_namespace(self.name).metadata
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def _job_ended(self, name: str) -> bool:
        conditions = self.batch.read_namespaced_job_status(name, self.name).status.conditions or []
        return any(condition.type in ("Complete", "Failed") and condition.status == "True" for condition in conditions)


def selector(labels: Labels) -> str:
    """Labels as the API's selector; "component" is short for the recommended label."""
    short = {"component": COMPONENT, "instance": INSTANCE, "name": NAME}
    return ",".join(f"{short.get(label, label)}={value}" for label, value in labels.items())


def is_ready(pod: Manifest) -> bool:
    """Whether it says so."""
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _is_alive(pod: Manifest) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ("Succeeded", "Failed")
