"""Objects of Kubernetes for the servers that tests deploy; every pod fits the restricted Pod Security Standard."""

from typing import Any

from tests.e2e.cluster import Manifest


def volume(name: str, path: str | None = None, **source: Any) -> tuple[str, Manifest]:
    """Where it is mounted, by default at its own name, and what it is."""
    return path or f"/{name}", {"name": name, **source}


def pod(
    name: str, labels: dict[str, str], container: Manifest, volumes: list[tuple[str, Manifest]], user: int
) -> Manifest:
    """A pod of one container with a read-only root, that runs as `user`."""
    mounts = [{"name": source["name"], "mountPath": path} for path, source in volumes]
    restricted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    security = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user}
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": security | {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container | {"volumeMounts": mounts, "securityContext": restricted}],
        "volumes": [source for _, source in volumes],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def service(name: str, labels: dict[str, str], ports: list[int]) -> Manifest:
    """A name for the pods with these labels."""
    spec = {"selector": labels, "ports": [{"name": f"port-{port}", "port": port} for port in ports]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def secret(name: str, data: dict[str, str]) -> Manifest:
    """A Secret from text."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def configuration(name: str, data: dict[str, str]) -> Manifest:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
