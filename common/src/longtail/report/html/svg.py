"""Figures as SVG inside the page: elements, axes, the looks of series. Colours are the style sheet's, for light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

WIDTH, HEIGHT = 420, 300
"""Of a figure's own coordinates: about as wide as a phone, so that its letters are not scaled down there."""

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 42
"""Margins around the axes."""

STYLES = 6
"""Colours and markers there are; further series repeat them with other lines."""

DASHES = ("", "6 3", "2 3", "8 3 2 3")

Point = tuple[float, float]


def number(value: float) -> str:
    """A coordinate to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def figure(mark: str, title: str, description: str, *, width: float = WIDTH, height: float = HEIGHT) -> Element:
    """An empty figure.

    Args:
        mark: a name that no other figure of the page has.
        title: its name.
        description: what it shows, for those who do not see it.
        width, height: of its coordinates.
    """
    root = Element(
        "svg",
        {
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "role": "img",
            "aria-labelledby": f"{mark}-title {mark}-description",
        },
    )
    SubElement(root, "title", id=f"{mark}-title").text = title
    SubElement(root, "desc", id=f"{mark}-description").text = description
    return root


def markup(root: Element) -> str:
    """A figure as text; whatever names hold is escaped."""
    return tostring(root, encoding="unicode")


def text(root: Element, at: Point, words: str, look: str = "", *, turn: float = 0) -> Element:
    """Words at a point.

    Args:
        root: the figure.
        at: x and y.
        words: what stands there.
        look: class of the style sheet.
        turn: degrees clockwise around the point.
    """
    x, y = map(number, at)
    made = SubElement(root, "text", {"x": x, "y": y, "class": look})
    if turn:
        made.set("transform", f"rotate({number(turn)} {x} {y})")
    made.text = words
    return made


@dataclass(frozen=True)
class Scale:
    """An axis: from values to a line of coordinates.

    Args:
        low, high: values at its ends, of which the second is larger.
        start, end: coordinates of its ends.
        logarithmic: whether equal distances are equal ratios; then values are positive.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        low, high, at = (math.log(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)


def across(low: float, high: float, *, logarithmic: bool = False) -> Scale:
    """The horizontal axis, with a little room on both sides."""
    return Scale(low, high, LEFT + 10, WIDTH - RIGHT - 10, logarithmic)


def upward(low: float, high: float) -> Scale:
    """The vertical axis."""
    return Scale(low, high, HEIGHT - BOTTOM, TOP)


def draw_axes(
    root: Element, x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], labels: tuple[str, str]
) -> None:
    """Grid, numbers and names of the axes.

    Args:
        root: the figure.
        x, y: the axes.
        x_ticks, y_ticks: values that get a line and a number.
        labels: names of the axes.
    """
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    lines = [f"M{LEFT} {number(y(each))}H{right}" for each in y_ticks]
    lines += [f"M{number(x(each))} {TOP}V{bottom}" for each in x_ticks]
    SubElement(root, "path", {"class": "grid", "d": "".join(lines)})
    SubElement(root, "path", {"class": "axis", "d": f"M{LEFT} {TOP}V{bottom}H{right}"})
    for each in x_ticks:
        text(root, (x(each), bottom + 15), f"{each:g}", "tick middle")
    for each in y_ticks:
        text(root, (LEFT - 5, y(each) + 4), f"{each:g}", "tick end")
    text(root, ((LEFT + right) / 2, HEIGHT - 8), labels[0], "label middle")
    text(root, (12, (TOP + bottom) / 2), labels[1], "label middle", turn=-90)


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two values, at most so many (one or two more where rounding has it so)."""
    raw = max(high - low, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [round(index * step, 10) for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, ... or, over a wide range, powers of ten between two positive values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 2000 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low * 0.999 <= step * 10.0**power <= high * 1.001]


def draw_line(root: Element, points: Iterable[Point], series: int, *, faint: bool = False) -> None:
    """The line of a series through points; a faint one is that of a seed behind the mean."""
    path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    if path:
        look = f"line faint-line series-{series % STYLES}" if faint else f"line series-{series % STYLES}"
        attributes = {"class": look, "d": f"M{path}"}
        if faint:
            SubElement(root, "path", attributes)
            return
        # neighbours differ, and so do those of one colour
        dash = DASHES[(series + series // STYLES) % len(DASHES)]
        SubElement(root, "path", attributes | ({"stroke-dasharray": dash} if dash else {}))


def _circle(x: float, y: float, r: float) -> str:
    return f"M{number(x - r)} {number(y)}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"


def _square(x: float, y: float, r: float) -> str:
    return f"M{number(x - r)} {number(y - r)}h{2 * r}v{2 * r}h{-2 * r}z"


def _triangle(x: float, y: float, r: float) -> str:
    return f"M{number(x)} {number(y - r - 1)}l{r + 1} {2 * r + 1}h{-2 * r - 2}z"


def _diamond(x: float, y: float, r: float) -> str:
    return f"M{number(x)} {number(y - r - 1)}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z"


def _downward(x: float, y: float, r: float) -> str:
    return f"M{number(x)} {number(y + r + 1)}l{r + 1} {-2 * r - 1}h{-2 * r - 2}z"


def _cross(x: float, y: float, r: float) -> str:
    a, b = r, r / 2
    steps = f"h{2 * b}v{a - b}h{a - b}v{2 * b}h{b - a}v{a - b}h{-2 * b}v{b - a}h{b - a}v{-2 * b}h{a - b}z"
    return f"M{number(x - b)} {number(y - a)}{steps}"


_MARKERS: tuple[Callable[[float, float, float], str], ...] = (_circle, _square, _triangle, _diamond, _downward, _cross)


def marker(at: Point, series: int, size: float = 4) -> str:
    """The path of a series' marker at a point."""
    return _MARKERS[series % STYLES](*at, size)


def key(series: int) -> str:
    """The marker and the line of a series, for a legend; it stands beside the name, and so tells nothing by itself."""
    root = Element("svg", {"viewBox": "0 0 34 14", "class": "key", "aria-hidden": "true"})
    draw_line(root, [(1, 7), (33, 7)], series)
    SubElement(root, "path", {"class": f"marker series-{series % STYLES}", "d": marker((17, 7), series)})
    return markup(root)
