"""How the pipeline on a cluster does with 1, 2 and 4 consumers: `make throughput`.

    python -m tests.bench.throughput --context kind-clickstream --namespace clickstream --release clickstream

For each number of consumers: a backlog is made, and the producer goes on at full speed while the consumers work (full
load); when they have worked off what is left, it sends at a steady rate that one consumer can bear (steady). What was
stored, the lag and the freshness come from `reporting`, the eyes of the dashboards. Writes
docs/benchmarks/throughput.md and .svg; the cluster is left as it was found, but for the events.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from kubernetes import config
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.common.errors import UserError, end_with_one_line
from tests.bench.throughput_picture import picture
from tests.bench.throughput_report import Machine, report
from tests.bench.throughput_samples import Phase, Sampler
from tests.e2e.cluster import Namespace
from tests.e2e.database import Database
from tests.e2e.release import Release

FULL_SPEED = 1_000_000
_DRAIN_SECONDS = 600
_SHARE = 0.01
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    context: Annotated[str, typer.Option(help="The cluster, by its context in the kubeconfig.")],
    namespace: Annotated[str, typer.Option(help="Where the chart is installed.")] = "clickstream",
    release: Annotated[str, typer.Option(help="Its release.")] = "clickstream",
    consumers: Annotated[str, typer.Option(help="Numbers of consumers, in this order.")] = "1,2,4",
    seconds: Annotated[int, typer.Option(min=5, help="How long full load and steady rate last, for each.")] = 40,
    backlog: Annotated[int, typer.Option(min=0, help="Messages that wait when a step begins.")] = 400_000,
    rate: Annotated[int, typer.Option(min=1, help="The steady rate, in messages a second.")] = 3_000,
    note: Annotated[str, typer.Option(help="What else a reader should know about the machine.")] = "",
    output: Annotated[Path, typer.Option(help="Where the files go.")] = Path("docs/benchmarks"),
) -> None:
    """Scale the consumer and write what it did."""
    installed = _find(context, namespace, release)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=Console()) as progress:
        bench = Bench(installed, Sampler(installed.database, progress), seconds, backlog, rate)
        phases = bench.run([int(number) for number in consumers.split(",")])
    output.mkdir(parents=True, exist_ok=True)
    (output / "throughput.svg").write_text(picture(phases))
    (output / "throughput.md").write_text(report(phases, _machine(installed, note), backlog=backlog, rate=rate))
    print(f"wrote {output / 'throughput.md'} and {output / 'throughput.svg'}")


class Bench:
    """The steps; whatever it scaled is as before when it ends."""

    def __init__(self, release: Release, sampler: Sampler, seconds: int, backlog: int, rate: int) -> None:
        self._release, self._sampler = release, sampler
        self._seconds, self._backlog, self._rate = seconds, backlog, rate

    def run(self, consumers: list[int]) -> list[Phase]:
        """All phases, in the order of time."""
        before = {component: self._replicas(component) for component in ("producer", "consumer")}
        try:
            self._release.scale("producer", 0)
            return [phase for count in consumers for phase in self._step(count)]
        finally:
            for load in ("load-backlog", "load-full", "load-steady"):
                self._release.namespace.delete_job(load)
            for component, replicas in before.items():
                self._release.scale(component, replicas)

    def _step(self, consumers: int) -> list[Phase]:
        release = self._release
        release.scale("consumer", 0)
        release.start_load("load-backlog", self._backlog, FULL_SPEED, _SHARE)
        release.finish_load("load-backlog")
        release.start_load("load-full", -1, FULL_SPEED, _SHARE)
        release.scale("consumer", consumers)
        release.wait_for_consumers_at_work(consumers)
        full = self._sampler.watch(consumers, "full load", self._seconds)
        release.stop_load("load-full")
        self._sampler.watch(consumers, "the rest", _DRAIN_SECONDS, until_no_lag=True)
        release.start_load("load-steady", -1, self._rate, _SHARE)
        release.wait_for_more_events()
        steady = self._sampler.watch(consumers, "steady", self._seconds)
        release.stop_load("load-steady")
        return [full, steady]

    def _replicas(self, component: str) -> int:
        namespace = self._release.namespace
        found = namespace.apps.read_namespaced_deployment(self._release.object(component), namespace.name)
        return int(found.spec.replicas)


def _find(context: str, namespace: str, release: str) -> Release:
    """The release, on the cluster of that context."""
    try:
        where = Namespace(namespace, context)
    except config.ConfigException as error:
        raise UserError(f"no cluster {context}: {error}; set KUBECONFIG, or name another --context") from None
    postgres = {"instance": release, "name": "postgres"}
    if not where.ready_pods(postgres):
        raise UserError(f"no release {release} with its own Postgres in namespace {namespace}: run make install")
    return Release(where, release, Database(where, postgres))


def _machine(release: Release, note: str) -> Machine:
    nodes = release.namespace.core.list_node().items
    info = nodes[0].status.node_info
    return Machine(
        measured_at=datetime.now(UTC),
        nodes=len(nodes),
        cores=int(nodes[0].status.capacity["cpu"]),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        kubernetes=info.kubelet_version,
        processor=_processor(),
        note=note,
    )


def _processor() -> str:
    """Its model, where the system says."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


if __name__ == "__main__":
    end_with_one_line(app)
