"""Metrics for long-tailed classification: counted on the device, summed over ranks, summarised once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longtail.metrics.shots import ShotGroups, ShotThresholds, adapted_thresholds

if TYPE_CHECKING:
    from longtail.metrics.counts import ClassificationCounts
    from longtail.metrics.summary import Summary, summarise

__all__ = ["ClassificationCounts", "ShotGroups", "ShotThresholds", "Summary", "adapted_thresholds", "summarise"]

_WITH_TORCH = {"ClassificationCounts": "counts", "Summary": "summary", "summarise": "summary"}
"""Where the names are that bring torch, for which those who want the shot groups alone need not wait."""


def __getattr__(name: str) -> Any:
    """The names that bring torch, once somebody asks for one."""
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
