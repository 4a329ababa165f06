"""The measurement as a picture: messages per second, lag and freshness over time, a band for each consumer count."""

from collections.abc import Callable
from html import escape
from itertools import pairwise

from tests.bench.throughput_samples import Phase

Point = tuple[float, float]

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 860, 130, 70, 46, 34
_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600 }
  .band { fill: #8c959f; opacity: .12 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .grid { stroke: #8c959f; stroke-width: .5; opacity: .4 }
  .line { fill: none; stroke: #0969da; stroke-width: 1.8; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) { text { fill: #9198a1 } .line { stroke: #4493f8 } }
"""


def picture(phases: list[Phase]) -> str:
    """An SVG; pauses between phases are left out of the lines."""
    start = phases[0].samples[0].at
    seconds = phases[-1].samples[-1].at - start
    panels: tuple[tuple[str, Callable[[Phase], list[Point]]], ...] = (
        ("messages per second", _rate),
        ("lag, messages", lambda phase: [(sample.at, sample.lag) for sample in phase.samples]),
        ("freshness p95 at the steady rate, seconds", _freshness),
    )
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" role="img">',
        "<title>Messages per second, lag and freshness with growing numbers of consumers</title>",
        f"<style>{_STYLE}</style>",
        *_bands(phases, start, seconds, height),
    ]
    for number, (title, points) in enumerate(panels):
        top = _TOP + number * (_HEIGHT + _GAP)
        parts += _panel(title, [points(phase) for phase in phases], top, start, seconds)
    return "\n".join([*parts, "</svg>", ""])


def _rate(phase: Phase) -> list[Point]:
    return [(b.at, (b.received - a.received) / (b.at - a.at)) for a, b in pairwise(phase.samples)]


def _freshness(phase: Phase) -> list[Point]:
    """The worst of each two seconds; under a backlog it would be the backlog's age."""
    if phase.load != "steady":
        return []
    worst: dict[int, float] = {}
    for batch in phase.batches:
        slot = int(batch.at / 2)
        worst[slot] = max(worst.get(slot, 0.0), batch.p95)
    return [(slot * 2.0 + 1, value) for slot, value in sorted(worst.items())]


def _x(at: float, start: float, seconds: float) -> float:
    return _LEFT + (at - start) / seconds * _WIDTH


def _bands(phases: list[Phase], start: float, seconds: float, height: int) -> list[str]:
    """Each number of consumers above its time, each load within it."""
    parts = []
    for number, consumers in enumerate(dict.fromkeys(phase.consumers for phase in phases)):
        own = [phase for phase in phases if phase.consumers == consumers]
        left, right = _x(own[0].samples[0].at, start, seconds), _x(own[-1].samples[-1].at, start, seconds)
        if number % 2 == 0:
            size = f'width="{right - left:.1f}" height="{height}"'
            parts.append(f'<rect class="band" x="{left:.1f}" y="0" {size}/>')
        words = f"{consumers} consumer{'s' if consumers > 1 else ''}"
        parts.append(f'<text class="title" x="{left + 6:.1f}" y="15">{words}</text>')
        for phase in own:
            at = _x(phase.samples[0].at, start, seconds)
            parts.append(f'<text x="{at + 6:.1f}" y="31">{escape(phase.load)}</text>')
    return parts


def _panel(title: str, lines: list[list[Point]], top: int, start: float, seconds: float) -> list[str]:
    highest = _round_up(max((value for line in lines for _, value in line), default=1.0))
    bottom = top + _HEIGHT
    parts = [f'<text class="title" x="{_LEFT}" y="{top + 4}">{escape(title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (_HEIGHT - 12)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(highest * share)}</text>')
    for line in filter(None, lines):
        scaled = ((_x(at, start, seconds), bottom - value / highest * (_HEIGHT - 12)) for at, value in line)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled)
        parts.append(f'<polyline class="line" points="{points}"/>')
    return parts


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    step = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return next((step * factor for factor in (1, 2, 5, 10) if step * factor >= value), value)


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value / 1000:g} k" if value >= 1000 else f"{value:g}"
