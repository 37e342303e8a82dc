"""What tables call the metrics of an evaluation."""

from __future__ import annotations

SCORES = {
    "all": "accuracy",
    "balanced": "balanced_accuracy",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "macro-F1": "macro_f1",
    "worst class": "worst_accuracy",
    "top-5": "top5",
    "calibration error": "ece",
}
"""The fields of a `Summary` that are shares, by the heading of their column."""


def scores(*headings: str) -> dict[str, str]:
    """Those of `SCORES` with these headings, in this order."""
    return {heading: SCORES[heading] for heading in headings}
