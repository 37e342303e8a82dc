"""Class sizes drawn with characters, in terminals of several widths."""

import io

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from longtail.cli.curve import class_curve
from longtail.metrics import ShotThresholds

USUAL = ShotThresholds()


def drawn(counts, *, names=None, width=80, encoding="utf-8", thresholds=USUAL):
    """The lines below the title."""
    shown_on = Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width)
    counts = np.array(counts)
    names = names or [f"class {c}" for c in range(len(counts))]
    return class_curve(names, counts, thresholds, shown_on).plain.splitlines()[1:]


def falling(classes):
    return np.round(1000 * 0.001 ** (np.arange(classes) / (classes - 1))).astype(int)


@pytest.mark.parametrize("width", [50, 60, 80, 200])
@pytest.mark.parametrize("classes", [2, 30, 31, 40, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_is_wider_than_the_terminal(width, classes, encoding):
    lines = drawn(falling(classes), width=width, encoding=encoding)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) == (classes if classes <= 30 else 9)
    "\n".join(lines).encode(encoding)


def test_few_classes_have_a_bar_each_the_largest_first():
    assert drawn([3, 0, 60, 1], width=60, thresholds=ShotThresholds(many=5, few=2)) == [
        "  class 2 " + "█" * 39 + " 60 many",
        "  class 0 " + "█" * 2 + " 3 medium",
        "  class 3 █ 1 few",
        "  class 1  0 few",
    ]


def test_names_are_cut_off_aligned_and_harmless():
    lines = drawn([3, 2, 1, 1], names=["a" * 40, "北京烤鸭", "\x1b[31mred", "caf\udce9"])
    assert [line[: line.index("█") - 1].strip() for line in lines] == ["a" * 21 + "...", "北京烤鸭", "\\x1b[31mred", "caf\\xe9"]
    assert {cell_len(line[: line.index("█")]) for line in lines} == {2 + 24 + 1}


def test_the_curve_of_many_classes_falls_and_names_the_groups_below_their_columns():
    *columns, groups = drawn(falling(60), width=80)
    assert columns[0].startswith("  1,000 █")
    assert columns[-1].startswith("      1 " + "█" * 50)
    heights = [sum(line[8:].ljust(60)[at] != " " for line in columns) for at in range(60)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] == 8
    many, few = (falling(60) > USUAL.many).sum(), (falling(60) < USUAL.few).sum()
    assert groups.split("└") == [
        " " * 8,
        f" many: {many}".ljust(many - 1),
        f" medium: {60 - many - few}".ljust(59 - many - few),
        f" few: {few}",
    ]


def test_groups_of_few_columns_are_told_side_by_side():
    counts = [1000] * 2 + [50] * 97 + [1]
    assert drawn(counts)[-1].split("█ ")[1:] == ["many: 2  ", "medium: 97  ", "few: 1"]
    assert drawn(counts, encoding="ascii")[-1].split("# ")[1:] == ["many: 2  ", "medium: 97  ", "few: 1"]
