"""The live page: one terminal screen of the whole pipeline. It fits 100 columns by 40 lines; a smaller one crops it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from local import panels
from local.figures import Figures
from local.keeping import Kept

WIDTH, HEIGHT = 100, 40


@dataclass(frozen=True)
class View:
    """What a page is made of."""

    title: str
    hint: str
    figures: Figures
    kept: Sequence[Kept]
    messages: Sequence[str]


def page(view: View, height: int = HEIGHT) -> Layout:
    """The screen; on a low terminal the lower rows are left out first."""
    rows = [Layout(_header(view), size=1), Layout(_top(view), size=11)]
    content = view.figures.content
    if content and height >= 25:
        rows.append(_row(12, (panels.pages(content), 4), (panels.clicked(content), 4), (panels.products(content), 4)))
    if content and height >= 38:
        rows.append(_row(12, (panels.funnel(content), 4), (panels.countries(content), 3), (panels.devices(content), 4)))
    rows.append(Layout(_footer(view), size=4))
    screen = Layout()
    screen.split_column(*rows)
    return screen


def line(view: View) -> str:
    """The key figures as one line."""
    figures, balance = view.figures, view.figures.balance
    sessions = figures.content.sessions.sessions if figures.content else 0
    return (
        f"in {figures.in_per_second:,.0f}/s  stored {figures.stored_per_second:,.0f}/s  "
        f"freshness p95 {panels.freshness(figures)}  lag {figures.lag:,}  |  "
        f"received {balance.received:,} = stored {balance.stored:,} + duplicate {balance.duplicate:,} "
        f"+ dead-lettered {balance.dead:,}{'' if balance.exact else '  NOT BALANCED'}  |  sessions {sessions:,}"
        + (f"  |  {figures.problem}" if figures.problem else "")
    )


def save_svg(view: View, file: Path) -> None:
    """The page as a picture."""
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True)
    console.print(page(view), height=HEIGHT)
    picture = console.export_svg(title=view.title)
    # Without the web fonts, which would be fetched from elsewhere: the viewer's monospace does.
    file.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL))


def _row(size: int, *parts: tuple[RenderableType, int]) -> Layout:
    row = Layout(size=size)
    row.split_row(*(Layout(part, ratio=ratio) for part, ratio in parts))
    return row


def _header(view: View) -> RenderableType:
    bar = Table.grid(expand=True)
    bar.add_column()
    bar.add_column(justify="right")
    bar.add_row(Text(f" {view.title}", style="bold cyan"), Text(f"{view.hint} ", style="dim"))
    return bar


def _top(view: View) -> Layout:
    row = Layout()
    row.split_row(
        Layout(panels.flow(view.figures), ratio=4),
        Layout(panels.balance(view.figures), ratio=3),
        Layout(panels.processes(view.kept), ratio=4),
    )
    return row


def _footer(view: View) -> RenderableType:
    latest = [*view.messages][-3:]
    text = Text("\n".join(f" {message}" for message in latest), style="yellow", no_wrap=True, overflow="ellipsis")
    if view.figures.problem:
        text.append(f"\n {view.figures.problem}", style="bold red")
    return text
