"""The Makefile's targets: on which cluster they act, whichever is current, and how tests run. What .ci/run tells.

The targets run for real; kubectl, helm, kind and docker are stand-ins on the PATH that note how they were called.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = ("docker", "helm", "kind", "kubectl", "open", "python", "sleep", "uv", "xdg-open")
# Nothing is there yet, and `helm test` fails: so targets call all that they ever call.
_STAND_IN = """#!/bin/sh
echo "${0##*/} $* $E2E_CONTEXT${PYTHONDONTWRITEBYTECODE:+ without bytecode}" >>"$CALLS"
case "${0##*/} $*" in
"kubectl config get-contexts --output=name") echo kind-clickstream; echo shop ;;
"kubectl config get-contexts shop" | "kubectl config get-contexts kind-clickstream") ;;
"kubectl config get-contexts"*) exit 1 ;;
*" get namespace "*) test -n "$NAMESPACE_EXISTS" ;;
helm*" test "*) exit 1 ;;
esac
"""
_SECTION = (ROOT / "Makefile").read_text().split("##@ Kubernetes")[1]
TARGETS = re.findall(r"^([a-z0-9-]+):.* ## ", _SECTION, re.MULTILINE)


@dataclass(frozen=True)
class Made:
    """What a call of make ended with, and the programs it called."""

    code: int
    errors: str
    calls: list[str]

    def on_clusters(self) -> list[str]:
        """Calls that may read or change a cluster."""
        looks = "kubectl config get-contexts"
        return [call for call in self.calls if call.startswith(("kubectl", "helm", "python")) and looks not in call]


@dataclass(frozen=True)
class Make:
    """The Makefile, with stand-ins in a folder."""

    folder: Path

    def __call__(self, *arguments: str, **environment: str) -> Made:
        """Run it, as if everything that it needs were installed."""
        calls, ready = self.folder / "calls", self.folder / "ready"
        calls.write_text("")
        ready.touch()
        path = {"PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(calls)}
        done = subprocess.run(
            ["make", *arguments, f"BIN={self.folder}", f"READY={ready}"],
            cwd=ROOT,
            env=path | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Made(done.returncode, done.stderr, calls.read_text().splitlines())


@pytest.fixture
def make(tmp_path: Path) -> Make:
    for program in _PROGRAMS:
        (tmp_path / program).write_text(_STAND_IN)
        (tmp_path / program).chmod(0o755)
    return Make(tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_every_call_names_the_cluster_it_is_for(make: Make, target: str) -> None:
    cluster = "kind-clickstream" if target == "kind-up" else "shop"
    made = make(target, "CONTEXT=shop")
    assert made.on_clusters() or target in ("image", "kind-down"), made.errors
    for call in made.on_clusters():
        assert f"context {cluster} " in call or call == f"python -m pytest tests/e2e {cluster}"


def test_the_local_cluster_is_the_one_unless_another_is_named(make: Make) -> None:
    calls = make("install").on_clusters() + make("upgrade", "KIND_CLUSTER=clickstream").on_clusters()
    assert calls
    assert all("context kind-clickstream " in call for call in calls)


@pytest.mark.parametrize("given", ["CONTEXT=", "CONTEXT=gone"])
@pytest.mark.parametrize("target", ["install", "upgrade", "uninstall", "throughput", "e2e"])
def test_a_context_that_is_not_there_ends_in_one_line_that_shows_those_that_are(
    make: Make, target: str, given: str
) -> None:
    made = make(target, given)
    assert made.code != 0
    assert f"error: no context '{given.removeprefix('CONTEXT=')}' in the kubeconfig" in made.errors
    assert "kind-clickstream shop" in made.errors
    assert not made.on_clusters()


def test_the_end_to_end_tests_want_the_cluster_named(make: Make) -> None:
    made = make("e2e")
    assert made.code != 0
    assert "make e2e CONTEXT=kind-clickstream" in made.errors
    assert made.calls == []


def test_a_context_of_the_environment_is_a_named_one(make: Make) -> None:
    assert make("e2e", CONTEXT="shop").on_clusters() == ["python -m pytest tests/e2e shop"]


def test_a_namespace_that_is_there_is_left_as_it_is(make: Make) -> None:
    made = make("namespace", "NAMESPACE=kube-system", NAMESPACE_EXISTS="yes")
    assert made.code == 0
    assert made.on_clusters() == [
        "kubectl --context kind-clickstream --namespace kube-system get namespace kube-system "
    ]


@pytest.mark.parametrize("target", ["test", "test-unit", "test-integration", "test-chart"])
def test_whole_suites_run_on_all_cores_and_what_is_chosen_in_one_process(make: Make, target: str) -> None:
    for arguments, processes in (([], "auto"), (["ARGS=-k name"], "0"), (["ARGS=-k name", "WORKERS=3"], "3")):
        (call,) = make(target, *arguments).calls
        assert f" --numprocesses={processes} " in call


def test_bytecode_is_kept_for_the_services_that_tests_and_demo_start(make: Make) -> None:
    for target in ("demo", "test"):
        (call,) = make(target, PYTHONDONTWRITEBYTECODE="1").calls
        assert "without bytecode" not in call


def test_ci_tells_who_lacks_the_lab_what_it_leaves_out(tmp_path: Path) -> None:
    """The commands that it runs are noted by a stand-in for make."""
    script, programs = tmp_path / "clone" / ".ci" / "run", tmp_path / "programs"
    script.parent.mkdir(parents=True)
    programs.mkdir()
    shutil.copy(ROOT / ".ci" / "run", script)
    (programs / "make").write_text('#!/bin/sh\necho "make $*"\n')
    (programs / "make").chmod(0o755)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    told = subprocess.run([script], env=path, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Left out" in told
    assert "make kind-up && make e2e CONTEXT=kind-clickstream" in told
    assert told.endswith("make lint\nmake test\n")
