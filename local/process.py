"""Child processes that outlive neither us nor a failed start: each with its own log file, session and last signal."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.common.errors import UserError

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class Process:
    """A command to run, and its running instance once started.

    `death_signal` is what the kernel sends it (on Linux) when we are killed outright. Start it from the main thread:
    to the kernel the parent is the thread that forks.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path = Path("/"),
        user: str | None = None,
        inherited_fds: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.environment, self.cwd, self.user = environment, cwd, user
        self.inherited_fds = tuple(inherited_fds)
        self.stop_signal, self.death_signal = stop_signal, death_signal
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the command.

        Raises:
            UserError: it cannot be executed.
        """
        with self.log.open("ab") as log:
            try:
                self._child = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.cwd,
                    env=self.environment,
                    pass_fds=self.inherited_fds,
                    start_new_session=True,  # the terminal's Ctrl-C is ours to pass on
                    preexec_fn=_die_with_parent(self.death_signal),  # noqa: PLW1509 (it takes no lock)
                    user=self.user,
                    group=primary_group(self.user),
                    extra_groups=[] if self.user else None,
                )
            except OSError as error:
                raise UserError(f"{self.name}: cannot run {self.command[0]}: {error.strerror}") from None

    @property
    def pid(self) -> int:
        """The process's number; 0 before the first start."""
        return self._child.pid if self._child else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs (and before the first start); negative: the signal that ended it."""
        return self._child.poll() if self._child else None

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._child is not None and self._child.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a crash would have it."""
        if self._child and self.running:
            self._child.kill()
            self._child.wait()

    def ask_to_stop(self) -> None:
        """Send the signal that means a clean end; does not wait."""
        if self._child and self.running:
            self._child.send_signal(self.stop_signal)

    def stop(self, deadline_seconds: float = 30.0) -> bool:
        """End it cleanly, or by force at the deadline; False if it took force."""
        self.ask_to_stop()
        if self._child is None:
            return True
        try:
            self._child.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def log_tail(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        with self.log.open(errors="replace") as log:
            return "".join(deque(log, lines)).strip()


def describe_exit(exit_code: int) -> str:
    """`signal 9` or `exit code 1`."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def primary_group(user: str | None) -> int | None:
    """The user's own group: `nobody` has `nogroup` on one system and `nobody` on another."""
    return pwd.getpwnam(user).pw_gid if user else None


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def ask_the_kernel() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:  # we were killed before the kernel knew
                os._exit(1)

    return ask_the_kernel
