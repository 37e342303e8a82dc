"""Metrics for long-tailed classification: counted on the device, summed over ranks, summarised once."""

from longtail.metrics.counts import ClassificationCounts
from longtail.metrics.shots import ShotGroups, ShotThresholds, adapted_thresholds
from longtail.metrics.summary import Summary, summarise

__all__ = ["ClassificationCounts", "ShotGroups", "ShotThresholds", "Summary", "adapted_thresholds", "summarise"]
