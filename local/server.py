"""What the embedded broker and database have in common: start, readiness, kill, restart, stop."""

import time
from abc import ABC, abstractmethod

from local.process import Process
from services.common.errors import UserError

READY_DEADLINE_SECONDS = 90.0
_POLL_SECONDS = 0.05


class Server(ABC):
    """A process that serves once it answers. Killed at any point, it starts again on the same port and data."""

    process: Process

    @abstractmethod
    def prepare(self) -> None:
        """What the first start needs: storage formatted, settings written."""

    @abstractmethod
    def answers(self) -> bool:
        """A client can do its work now."""

    def start(self) -> None:
        """Run the process; it may not answer yet."""
        self.process.start()

    def wait_ready(self, deadline_seconds: float = READY_DEADLINE_SECONDS) -> None:
        """Return once it answers.

        Raises:
            UserError: it ended by itself or did not answer in time; shows the end of its log.
        """
        deadline = time.monotonic() + deadline_seconds
        while not self.answers():
            late = time.monotonic() > deadline
            if not self.process.running and not late and self._blocked_by_its_past():
                self.process.start()
            elif late or not self.process.running:
                raise UserError(self._why_not())
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a crash would have it."""
        self.process.kill()

    def stop(self) -> None:
        """End it cleanly."""
        self.process.stop()

    @property
    def running(self) -> bool:
        """The process is there; it may not answer yet."""
        return self.process.running

    def _blocked_by_its_past(self) -> bool:
        """It could not start since remains of its killed predecessor are still ending: worth another try."""
        return False

    def _why_not(self) -> str:
        state = "did not answer in time" if self.process.running else "did not start"
        return f"{self.process.name} {state}; the end of {self.process.log}: {self.process.log_tail(8)}"
