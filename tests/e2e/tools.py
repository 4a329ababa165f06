"""A pod of nobody's with our image, to try from it what a program in the cluster can do."""

import os
import tomllib

from tests.e2e.cluster import Manifest
from tests.e2e.helm import ROOT
from tests.e2e.pods import pod, volume

_VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = os.environ.get("E2E_TOOLS_IMAGE", f"clickstream:{_VERSION}")

_WAIT = "import signal; signal.sigwait({signal.SIGTERM})"
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).close()
except (TimeoutError, ConnectionRefusedError):
    print("refused")
else:
    print("connected")
"""


def tools(name: str) -> Manifest:
    """It does nothing until something is run in it."""
    container = {"name": name, "image": IMAGE, "command": ["python", "-c", _WAIT]}
    return pod(name, {"app": name}, container, [volume("tmp", emptyDir={})], user=10001)


def connecting(host: str, port: int) -> list[str]:
    """A program that prints whether a connection came about."""
    return ["python", "-c", CONNECT, host, str(port)]
