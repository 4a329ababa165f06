"""Keeping processes running: what dies is started again, with growing pauses, until it plainly cannot live."""

import time
from collections.abc import Callable, Iterator, Sequence

from local.jars import Say
from local.process import Process, describe_exit
from services.common import backoff
from services.common.errors import UserError

_HEALTHY_SECONDS = 10.0
_QUICK_DEATHS_ALLOWED = 12
_LOOK_SECONDS = 0.1
_USAGE_ERROR = 2
_WITHOUT_BOXES = str.maketrans("", "", "│╭╮╰╯─")
_STOP_SECONDS = 25.0


class Kept:
    """A process and what its end means: with `again`, a successful end is followed by the next run."""

    def __init__(self, process: Process, *, again: bool = True, ends_by_itself: bool = False) -> None:
        self.process = process
        self.again, self.ends_by_itself = again, ends_by_itself
        self.done = False
        self.deaths = 0
        self._quick_deaths = 0
        self._started_at = 0.0
        self._start_at: float | None = None
        self._delays: Iterator[float] = iter(())
        self._calm()

    @property
    def state(self) -> str:
        """For people: up, down (and about to be started again), done."""
        return "done" if self.done else "up" if self.process.running else "down"

    def start(self) -> None:
        """Run it for the first time, or again."""
        self._start_at = None
        self._started_at = time.monotonic()
        self.process.start()

    def look(self) -> str | None:
        """Do what is due; tells what happened, if anything did.

        Raises:
            UserError: it died too often in a row.
        """
        now = time.monotonic()
        if self.done or self.process.running:
            if now - self._started_at > _HEALTHY_SECONDS:
                self._calm()
            return None
        if self._start_at is not None:
            if now >= self._start_at:
                self.start()
            return None
        return self._ended(now)

    def _ended(self, now: float) -> str | None:
        exit_code = self.process.exit_code
        if exit_code is None:
            self.start()
            return None
        if exit_code == 0 and not self.again:
            self.done = True
            return None
        if exit_code == 0 and self.ends_by_itself:
            self._start_at = max(now, self._started_at + 1)
            return None
        self._died(exit_code)
        self._start_at = now + next(self._delays)
        return f"{self.process.name} died ({describe_exit(exit_code)}), started again"

    def _died(self, exit_code: int) -> None:
        self.deaths += 1
        self._quick_deaths += 1
        if self.deaths == 1 and (complaint := self._complaint(exit_code)):
            raise UserError(f"{self.process.name}: {complaint}")
        if self._quick_deaths > _QUICK_DEATHS_ALLOWED:
            name, end = self.process.name, describe_exit(exit_code)
            raise UserError(f"{name} keeps dying ({end}); the end of {self.process.log}: {self.process.log_tail(3)}")

    def _complaint(self, exit_code: int) -> str:
        """What a first run that ended at once has against its configuration: no second run would think otherwise."""
        at_once = time.monotonic() - self._started_at <= _HEALTHY_SECONDS or exit_code == _USAGE_ERROR
        if exit_code < 0 or not at_once:
            return ""
        text = " ".join(self.process.log_tail(6).translate(_WITHOUT_BOXES).split())
        return text.rpartition("error: ")[2] if "error: " in text or exit_code == _USAGE_ERROR else ""

    def _calm(self) -> None:
        self._quick_deaths = 0
        self._delays = backoff.delays(first_seconds=0.2)


class Keeper:
    """All kept processes. Only the main thread may use it: to the kernel, their parent is the thread that forks."""

    def __init__(self, say: Say) -> None:
        self.kept: list[Kept] = []
        self._say = say

    def adopt(self, *processes: Process) -> None:
        """Keep what runs already."""
        self.kept += [Kept(process) for process in processes]

    def keep(self, process: Process, *, again: bool = True, ends_by_itself: bool = False) -> Kept:
        """Start it and keep it."""
        kept = Kept(process, again=again, ends_by_itself=ends_by_itself)
        kept.start()
        self.kept.append(kept)
        return kept

    def look(self) -> None:
        """One round over all.

        Raises:
            UserError: one of them died too often in a row.
        """
        for kept in self.kept:
            if happened := kept.look():
                self._say(happened)

    def wait(self, done: Callable[[], bool], each_round: Callable[[], None] = lambda: None) -> None:
        """Look after all until `done`, which is asked several times a second."""
        while not done():
            self.look()
            each_round()
            time.sleep(_LOOK_SECONDS)

    def run_to_success(self, process: Process, each_round: Callable[[], None] = lambda: None) -> None:
        """Run a command that ends; again if it fails.

        Raises:
            UserError: it failed too often.
        """
        kept = self.keep(process, again=False)
        self.wait(lambda: kept.done, each_round)
        self.kept.remove(kept)

    def stop(self, processes: Sequence[Process]) -> None:
        """End these and keep them no longer."""
        for kept in [kept for kept in self.kept if kept.process in processes]:
            kept.done = True
            self.kept.remove(kept)
        for process in processes:
            process.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            if not process.stop(max(0.1, deadline - time.monotonic())):
                self._say(f"{process.name} did not end within {_STOP_SECONDS:.0f} s and was killed")

    @property
    def deaths(self) -> int:
        """How often anything died."""
        return sum(kept.deaths for kept in self.kept)
