"""What a person sees while it runs: the live page on a terminal, else a line every few seconds."""

import time
from collections import deque
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.live import Live

from local.page import HEIGHT, WIDTH, View, line, page

_PAGE_SECONDS = 0.5
_LINE_SECONDS = 5.0
_SMALLEST = (60, 14)


class Show:
    """Prints; inside the block, on a terminal that is large enough, the page takes the whole screen."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self.messages: deque[str] = deque(maxlen=20)
        self._live: Live | None = None
        self._due = 0.0

    def say(self, message: str) -> None:
        """One line for the person: below the page, or printed with its time."""
        self.messages.append(f"{time.strftime('%H:%M:%S')}  {message}")
        if self._live is None:
            self._print(message)

    def _print(self, message: str) -> None:
        self.console.print(f"{time.strftime('%H:%M:%S')}  {message}", markup=False, soft_wrap=True)

    def __enter__(self) -> Self:
        width, height = self.console.size
        if self.console.is_terminal and width >= _SMALLEST[0] and height >= _SMALLEST[1]:
            self._live = Live(console=self.console, screen=True, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def refresh(self, view: Callable[[], View]) -> None:
        """Show the view if it is time to."""
        now = time.monotonic()
        if now < self._due:
            return
        if self._live:
            self._live.update(page(view(), self.console.height), refresh=True)
            self._due = now + _PAGE_SECONDS
        else:
            self._print(line(view()))
            self._due = now + _LINE_SECONDS

    def final(self, view: View) -> None:
        """The page once more, to stay."""
        self.console.print(page(view), height=HEIGHT)
