"""The panels of the live page: each turns figures into a table."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.figures import Figures
from local.keeping import Kept
from local.queries import ROWS, Content

_BLOCKS = " ▁▂▃▄▅▆▇█"
_TABLE_ROWS = 8
_SITE_ROWS = 4
_BAR = 7


def flow(figures: Figures) -> Panel:
    """Rates, freshness, lag and the tail."""
    ingest = figures.flow
    grid = _grid()
    grid.add_row("events in", f"[bold green]{figures.in_per_second:,.0f}[/]/s")
    grid.add_row("stored", f"[bold green]{figures.stored_per_second:,.0f}[/]/s")
    grid.add_row("freshness p95", f"[bold]{freshness(figures)}[/]")
    grid.add_row("freshness p50", _seconds(ingest.freshness_p50_seconds if ingest else None))
    grid.add_row("lag", f"{figures.lag:,} messages")
    grid.add_row("to roll up", f"{ingest.pending_events:,} events" if ingest else "-")
    grid.add_row("aggregator", _aggregator(figures.content))
    grid.add_row("", "")
    grid.add_row("stored/s", Text(_sparkline(figures.history, 14), style="green"))
    return _panel("Live", grid)


def balance(figures: Figures) -> Panel:
    """What became of every message."""
    books, content = figures.balance, figures.content
    grid = _grid()
    grid.add_row("received", f"[bold]{books.received:,}[/]")
    grid.add_row("= stored", f"{books.stored:,}")
    grid.add_row("+ duplicate", f"{books.duplicate:,}")
    grid.add_row("+ dead-lettered", f"{books.dead:,}")
    grid.add_row("", "[bold green]exact[/]" if books.exact else "[bold red]NOT EXACT[/]")
    grid.add_row("lost", f"[red]{books.lost:,}[/]" if books.lost else "0")
    for row in (content.dead_letters if content else [])[:3]:
        grid.add_row(f"[dim]{row.reason}[/]", f"[dim]{row.messages:,}[/]")
    return _panel("Balance", grid)


def processes(kept_processes: Sequence[Kept]) -> Panel:
    """Who runs, and how often it died."""
    table = _table("process", "pid", "state", "died")
    for kept in kept_processes[:8]:
        colour = "green" if kept.process.running or kept.done else "red"
        died = f"{kept.deaths} x" if kept.deaths else ""
        table.add_row(kept.process.name, str(kept.process.pid), f"[{colour}]{kept.state}[/]", f"[yellow]{died}[/]")
    return _panel("Processes", table)


def pages(content: Content) -> Panel:
    """Pages by views."""
    table = _table("page", "views", "clicks")
    for row in content.pages[:_TABLE_ROWS]:
        table.add_row(Text(row.page_path), f"{row.views:,}", f"{row.clicks:,}")
    return _panel("Popular pages", table)


def clicked(content: Content) -> Panel:
    """Elements by clicks."""
    table = _table("page and element", "clicks")
    for row in content.clicked[:_TABLE_ROWS]:
        table.add_row(Text(f"{row.page_path} {row.element}"), f"{row.clicks:,}")
    return _panel("Most clicked", table)


def products(content: Content) -> Panel:
    """Products by how often they went into a cart."""
    table = _table("product", "carts", "views", "sold")
    for row in content.products[:_TABLE_ROWS]:
        table.add_row(Text(row.product_id), f"{row.added:,}", f"{row.views:,}", f"{row.purchases:,}")
    return _panel("Most added to cart", table)


def funnel(content: Content) -> Panel:
    """Sessions, how far they came, and what they brought."""
    sessions = content.sessions
    grid = _grid()
    steps = ("viewed_product", "added_to_cart", "began_checkout", "conversions")
    grid.add_row("sessions", f"[bold]{sessions.sessions:,}[/]")
    for step in steps:
        grid.add_row(step.replace("_", " "), _of(getattr(sessions, step), sessions.sessions))
    grid.add_row("conversion", f"[bold]{_percent(sessions.conversions, sessions.sessions)}[/]")
    grid.add_row("bounces", _of(sessions.bounces, sessions.sessions))
    grid.add_row(
        "mean length", _seconds(sessions.duration_ms / 1000 / sessions.sessions if sessions.sessions else None)
    )
    if content.visitors:
        grid.add_row(f"visitors {content.visitors.starts_on:%d %b}", f"{content.visitors.visitors:,}")
    for row in content.revenue[:1]:
        grid.add_row("revenue", f"{row.revenue:,.2f} {row.currency}")
    return _panel("Sessions and conversion", grid)


def countries(content: Content) -> Panel:
    """Events by country, and by site where there are several."""
    sites = content.sites[:_SITE_ROWS] if len(content.sites) > 1 else []
    if not sites:
        return _panel("Countries", _share_table(content.countries[:ROWS]))
    both = Table.grid(expand=True)
    both.add_row(_share_table(sites))
    both.add_row(_share_table(content.countries[: ROWS - len(sites)]))
    return _panel("Sites, countries", both)


def devices(content: Content) -> Panel:
    """Events by device and by type."""
    both = Table.grid(expand=True)
    both.add_row(_share_table(content.devices[:4]))
    both.add_row(_share_table(content.event_types[:6]))
    return _panel("Devices, event types", both)


def _share_table(rows: Sequence[tuple[str, int]]) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right")
    table.add_column(width=_BAR, no_wrap=True)
    most = max((count for _, count in rows), default=1)
    for name, count in rows:
        table.add_row(Text(name or "unknown"), f"{count:,}", Text("█" * round(_BAR * count / most), style="blue"))
    return table


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", padding=(0, 1))


def _grid() -> Table:
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    grid.add_column(no_wrap=True, justify="right")
    return grid


def _table(first: str, *numbers: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, expand=True, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim"
    )
    table.add_column(first, no_wrap=True, overflow="ellipsis", ratio=1)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _aggregator(content: Content | None) -> str:
    run = content.aggregator if content else None
    if run is None:
        return "-"
    if run.error:
        return f"[red]run {run.run_id} failed[/]"
    return f"run {run.run_id}, {run.passes} passes"


def _sparkline(values: Iterable[float], width: int) -> str:
    shown = [*values][-width:]
    most = max(shown, default=0) or 1
    return "".join(_BLOCKS[round(value / most * (len(_BLOCKS) - 1))] for value in shown)


def freshness(figures: Figures) -> str:
    """The 95th percentile of the last half minute, for people."""
    return _seconds(figures.flow.freshness_p95_seconds if figures.flow else None)


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _of(part: int, whole: int) -> str:
    return f"{part:,} [dim]({_percent(part, whole)})[/]"
