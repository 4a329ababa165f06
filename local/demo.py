"""`demo`: the whole platform on this machine, from an empty directory to live figures, and to a verdict at the end."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from local import ending
from local.embedded import Platform, platform, undisturbed
from local.figures import Figures, Watch
from local.grafana import HOW_TO_GET_ONE, Grafana
from local.keeping import Keeper, Kept
from local.options import Options
from local.page import View, save_svg
from local.services import Services
from local.show import Show
from services.common.errors import UserError

_STALL_SECONDS = 120.0


def run(options: Options) -> None:
    """Until Ctrl-C or SIGTERM or, if it is finite, its end.

    Raises:
        UserError: something could not be started, keeps dying, or a number is off.
        KeyboardInterrupt: it was stopped before its end.
    """
    show = Show()
    show.say(f"Data and logs: {options.data} - Ctrl-C stops everything")
    with _sigterm_as_interrupt():
        try:
            with platform(options.data, fresh=not options.keep, say=show.say) as running:
                _serve(running, options, show)
        except KeyboardInterrupt:
            if options.finite:
                raise
            show.say("Stopped. `--keep` goes on with this data")


def _serve(running: Platform, options: Options, show: Show) -> None:
    show.say(
        f"Kafka answers at {running.kafka.bootstrap}, PostgreSQL at {running.postgres.host}:{running.postgres.port}"
    )
    keeper = Keeper(show.say)
    keeper.adopt(running.kafka.process, running.postgres.process)
    services = Services(running, retention_days=0 if options.replay or options.keep else None)
    try:
        keeper.run_to_success(services.migrate())
        if options.grafana:
            _show_dashboards(running, keeper, show)
        with Watch(running) as watch:
            _Run(options, show, keeper, services, watch, running).go()
    finally:
        with undisturbed():
            keeper.stop([kept.process for kept in keeper.kept[2:]])


def _show_dashboards(running: Platform, keeper: Keeper, show: Show) -> None:
    grafana = Grafana(running)
    if grafana.process is None:
        show.say(HOW_TO_GET_ONE)
        return
    keeper.keep(grafana.process)
    show.say(f"Dashboards: {grafana.url}")


class _Run:
    """The services at work, once broker, database and schema are there."""

    def __init__(
        self, options: Options, show: Show, keeper: Keeper, services: Services, watch: Watch, running: Platform
    ) -> None:
        self.options, self.show, self.keeper = options, show, keeper
        self.services, self.watch, self.running = services, watch, running
        self._moved_at, self._received = 0.0, -1
        self._shown: list[Kept] = []

    def go(self) -> None:
        before = self.watch.latest.balance
        try:
            with self.show:
                producer = self._start()
                if not self.options.finite:
                    self.keeper.wait(lambda: False, self._refresh)
                self._drain(producer)
            figures = self._finish()
            if self.options.replay:
                report = ending.replay_report(self.running.directory.logs / "producer.log")
                self.show.console.print(report, markup=False, soft_wrap=True)
            ending.judge(self.show.console, self.running, self.services, before, figures, self.options.events)
        except KeyboardInterrupt:
            self.show.final(self._view())
            raise
        finally:
            if self.options.svg:
                save_svg(self._view(), self.options.svg)
                self.show.say(f"The page as a picture: {self.options.svg}")

    def _start(self) -> Kept:
        for number in range(1, self.options.consumers + 1):
            self.keeper.keep(self.services.consumer(number))
        self.keeper.keep(self.services.aggregator("run"), ends_by_itself=True)
        command = self.services.producer(*self.options.producer_arguments())
        producer = self.keeper.keep(command, again=not self.options.finite)
        self._shown = [*self.keeper.kept]
        return producer

    def _drain(self, producer: Kept) -> None:
        """Wait until the producer is done and all it sent is stored.

        Raises:
            UserError: nothing moves any more.
        """
        self.keeper.wait(lambda: producer.done, self._refresh)
        done_at = self._moved_at = time.monotonic()
        self.keeper.wait(lambda: self._drained(done_at), self._refresh)

    def _drained(self, producer_done_at: float) -> bool:
        figures, now = self.watch.latest, time.monotonic()
        if figures.balance.received != self._received:
            self._received, self._moved_at = figures.balance.received, now
        if now - self._moved_at > _STALL_SECONDS:
            raise UserError(
                f"{figures.lag:,} messages are left and none was stored for {_STALL_SECONDS:.0f} s: "
                f"see {self.running.directory.logs}/consumer-1.log"
            )
        return figures.read_at > producer_done_at and figures.problem is None and figures.lag == 0

    def _finish(self) -> Figures:
        """Stop the services, roll up the rest, show the final tables."""
        self.show.say("Everything is stored. The last rollup, then a recount")
        self.keeper.stop([kept.process for kept in self.keeper.kept[2:]])
        self.keeper.run_to_success(self.services.aggregator("run", "--once", name="aggregator-last"))
        figures = self.watch.last()
        self.show.final(self._view())
        return figures

    def _refresh(self) -> None:
        self.show.refresh(self._view)

    def _view(self) -> View:
        hint = f"Ctrl-C stops, data in {self.options.data}"
        return View(self.options.title, hint, self.watch.latest, self._shown, self.show.messages)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Either signal unwinds the stack, also where a shell started us with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    yield
