"""What runs that differ in nothing but their seeds are worth together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

ENOUGH = 3
"""Seeds that a verdict takes: the spread of two differences is known so badly that they can agree by chance."""

Statistic = tuple[float | None, float | None]
"""Mean and sample standard deviation."""


def mean_and_spread(values: Sequence[float | None]) -> Statistic:
    """Mean and sample standard deviation; both None where a value is absent, the deviation also for a single value."""
    known = [each for each in values if each is not None]
    if not known or len(known) < len(values):
        return None, None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None
