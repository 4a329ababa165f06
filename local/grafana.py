"""Grafana beside the demo: the same dashboards and alerts as on Kubernetes, by a program in the PATH or by Docker."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from local.embedded import Platform
from local.postgres import DATABASE
from local.process import Process
from local.state import HOST, free_ports

IMAGE = "grafana/grafana:13.2.3"
HOW_TO_GET_ONE = (
    "Grafana is not here: install it (https://grafana.com/docs/grafana/latest/setup-grafana/installation/) so that "
    "`grafana` is in the PATH, or start Docker, and run the demo again"
)
_ROOT = Path(__file__).resolve().parent.parent
_PORT = 3000


class Grafana:
    """Its process, not started yet, and where people find it. Whoever reaches this machine's loopback may look."""

    def __init__(self, running: Platform) -> None:
        self._running = running
        self._folder = running.directory.path / "grafana"
        [self._port] = free_ports(_PORT)
        self._provision()
        command = _program() or self._docker()
        log = running.directory.logs / "grafana.log"
        self.process = (
            Process("grafana", command, log, environment=self._environment(), death_signal=signal.SIGTERM)
            if command
            else None
        )

    @property
    def url(self) -> str:
        """The dashboard to begin with."""
        return f"http://{HOST}:{self._port}/d/clickstream-live"

    def _environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GF_")}
        return inherited | self._settings() | {"GF_PATHS_DATA": str(self._folder / "data")}

    def _settings(self) -> dict[str, str]:
        return {
            "GF_SERVER_HTTP_ADDR": HOST,
            "GF_SERVER_HTTP_PORT": str(self._port),
            "GF_PATHS_PROVISIONING": str(self._folder / "provisioning"),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_SECURITY_ADMIN_PASSWORD": self._running.state.grafana_reader_password,
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(_ROOT / "grafana" / "dashboards" / "live.json"),
            "READER_PASSWORD": self._running.state.grafana_reader_password,
            "RUNBOOKS_URL": f"file://{_ROOT}/docs/runbooks/",
        }

    def _docker(self) -> list[str]:
        """The official image on this machine's own network: the database listens on loopback alone."""
        if not _docker_answers():
            return []
        provisioning, dashboards = self._folder / "provisioning", _ROOT / "grafana" / "dashboards"
        mounts = [part for folder in (provisioning, dashboards) for part in ("-v", f"{folder}:{folder}:ro")]
        variables = [part for name in self._settings() for part in ("-e", name)]  # values come from our environment
        return ["docker", "run", "--rm", "--init", "--network", "host", *mounts, *variables, IMAGE]

    def _provision(self) -> None:
        """What the chart mounts: data source, dashboards, alert rules. JSON is YAML."""
        folder = self._folder / "provisioning"
        shutil.rmtree(folder, ignore_errors=True)
        (self._folder / "data").mkdir(parents=True, exist_ok=True)
        for name, content in (("datasources", self._data_source()), ("dashboards", _dashboards())):
            (folder / name).mkdir(parents=True)
            (folder / name / "clickstream.yaml").write_text(json.dumps(content, indent=1))
        shutil.copytree(_ROOT / "grafana" / "alerting", folder / "alerting")
        for path in (self._folder, *self._folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # Docker's Grafana is another user; nothing here is secret

    def _data_source(self) -> object:
        postgres = self._running.postgres
        source = {
            "name": "Clickstream",
            "uid": "clickstream-postgres",
            "type": "grafana-postgresql-datasource",
            "access": "proxy",
            "isDefault": True,
            "editable": False,
            "url": f"{postgres.host}:{postgres.port}",
            "user": "grafana_reader",
            "jsonData": {"database": DATABASE, "sslmode": "disable", "maxOpenConns": 10, "timeInterval": "10s"},
            "secureJsonData": {"password": "$READER_PASSWORD"},
        }
        return {"apiVersion": 1, "datasources": [source]}


def _dashboards() -> object:
    provider = {
        "name": "clickstream",
        "folder": "Clickstream",
        "folderUid": "clickstream",
        "type": "file",
        "options": {"path": str(_ROOT / "grafana" / "dashboards")},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _program() -> list[str]:
    """The command of an installed Grafana, with its home if it is where installers put it."""
    program = shutil.which("grafana")
    if program is None:
        return []
    prefix = Path(program).resolve().parent.parent
    homes = (prefix, prefix / "share" / "grafana", Path("/usr/share/grafana"))
    home = next((home for home in homes if (home / "conf" / "defaults.ini").exists()), None)
    return [program, "server", *(["--homepath", str(home)] if home else [])]


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
