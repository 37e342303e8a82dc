"""Fixtures of the report tests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def figures(monkeypatch) -> list[Any]:
    """The figures that are written, in order."""
    from matplotlib.figure import Figure

    written = []
    save = Figure.savefig

    def spy(figure, *arguments, **options):
        written.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return written
