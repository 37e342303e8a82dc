"""The confusion matrix, as a figure and as its largest entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import numpy.typing as npt

from longtail.datasets.base import Indices
from longtail.report.html import svg

NAMED = 30
"""Up to so many classes the rows and columns bear names."""

NUMBERED = 10
"""Up to so many classes the cells bear numbers."""

LEVELS = 10
"""Shades."""

Shares = npt.NDArray[np.float64]
"""Of each true class the parts that were taken for each class, shape (C, C)."""

SMALL_PRINT = 15
"""Of more classes than these, rows are lower than letters are on a phone."""

_NAME_LENGTH = 12
_LETTER = 8.0
"""Width of a letter of the size that names have on a phone."""

_SIDE = 300


class Confusion(NamedTuple):
    """Images of a class that were taken for another.

    true, taken_for: the classes.
    images: how many there are.
    share: of the images of the class.
    """

    true: int
    taken_for: int
    images: int
    share: float


def largest_confusions(true: Indices, taken_for: Indices, most: int = 10) -> list[Confusion]:
    """The confusions with the most images, the largest first.

    Args:
        true: class of each image, int64, shape (N,).
        taken_for: the class that it was taken for, int64, shape (N,).
        most: at most so many.
    """
    wrong = true != taken_for
    pairs, images = np.unique(np.stack([true[wrong], taken_for[wrong]]), axis=1, return_counts=True)
    ranked = np.argsort(-images, kind="stable")[:most]
    totals = np.bincount(true)
    return [
        Confusion(int(pairs[0, at]), int(pairs[1, at]), int(images[at]), float(images[at] / totals[pairs[0, at]]))
        for at in ranked
    ]


def confusion_figure(matrix: Indices, class_names: Sequence[str], class_counts: Sequence[int], mark: str) -> str:
    """Shares of each class's images by what they were taken for, the largest class first.

    Args:
        matrix: images by true and predicted class, int64, shape (C, C).
        class_names: C names.
        class_counts: training images per class; they give the order.
        mark: a name that no other figure of the page has.
    """
    order = np.argsort(-np.asarray(class_counts), kind="stable")
    names = [class_names[each] for each in order]
    matrix = matrix[np.ix_(order, order)]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = len(names)
    bears_names = classes <= NAMED
    cell = _SIDE / classes
    letters = min(_NAME_LENGTH, max(map(len, names))) if bears_names else 0
    margin = 24 + math.ceil(letters * (0.6 * _letters_of(cell) if needs_width(classes) else _LETTER))
    side = margin + _SIDE + 4
    right = int(np.trace(matrix))
    root = svg.figure(
        mark,
        "Confusion matrix",
        f"Rows are true classes, columns predicted ones, the class with the most training images first; shade is the share "
        f"of the row. {right} of {int(matrix.sum())} images are on the diagonal. The table below gives the largest confusions.",
        width=side,
        height=side,
    )
    if needs_width(classes):
        root.set("style", f"min-width:{1.1 * side:.0f}px")
    _draw_cells(root, shares, margin, cell)
    box = {"x": str(margin), "y": str(margin), "width": str(_SIDE), "height": str(_SIDE), "class": "frame"}
    SubElement(root, "rect", box)
    svg.text(root, (margin + _SIDE / 2, 11), "predicted class", "label middle")
    svg.text(root, (11, margin + _SIDE / 2), "true class", "label middle", turn=-90)
    if bears_names:
        _write_names(root, names, margin, cell)
    if classes <= NUMBERED:
        _write_shares(root, shares, margin, cell)
    return svg.markup(root)


def needs_width(classes: int) -> bool:
    """Whether the names could not be read on a phone, so that the figure keeps its width there."""
    return SMALL_PRINT < classes <= NAMED


def _letters_of(cell: float) -> float:
    """The size of letters that fit into rows of this height."""
    return min(11.0, cell * 0.95)


def _draw_cells(root: Element, shares: Shares, margin: float, cell: float) -> None:
    """One path for each shade, which takes a tenth of what a rectangle for each cell would."""
    look = "cell" if len(shares) <= NUMBERED else "cell bare"
    level = np.ceil(shares * LEVELS - 1e-9).astype(int)
    for shade in range(1, LEVELS + 1):
        rows, columns = np.nonzero(level == shade)
        path = "".join(
            f"M{margin + column * cell:.2f} {margin + row * cell:.2f}h{cell:.2f}v{cell:.2f}h{-cell:.2f}z"
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        )
        if path:
            SubElement(root, "path", {"class": look, "fill-opacity": f"{0.15 + 0.85 * shade / LEVELS:.3g}", "d": path})


def _write_names(root: Element, names: Sequence[str], margin: float, cell: float) -> None:
    own_size = needs_width(len(names))
    for at, name in enumerate(names):
        # names that are long often begin alike
        short = name if len(name) <= _NAME_LENGTH else f"{name[:5]}…{name[5 - _NAME_LENGTH + 1 :]}"
        middle = margin + (at + 0.5) * cell
        row = svg.text(root, (margin - 4, middle + 4), short, "tick end")
        column = svg.text(root, (middle + 4, margin - 4), short, "tick", turn=-90)
        for each in (row, column) if own_size else ():
            each.set("style", f"font-size:{_letters_of(cell):.1f}px")


def _write_shares(root: Element, shares: Shares, margin: float, cell: float) -> None:
    for row, column in zip(*(each.tolist() for each in np.nonzero(shares)), strict=True):
        share = shares[row, column]
        # from the seventh shade on, light numbers have more contrast than dark ones
        look = "share middle over" if np.ceil(share * LEVELS - 1e-9) >= 7 else "share middle"
        at = (margin + (column + 0.5) * cell, margin + (row + 0.5) * cell + 4)
        svg.text(root, at, f"{100 * share:.0f}", look)
