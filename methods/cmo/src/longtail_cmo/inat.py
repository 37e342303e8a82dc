"""`inat_train.py`: CMO on iNaturalist 2018."""

from __future__ import annotations

from longtail_cmo import training
from longtail_cmo.experiments import INAT


def console() -> None:
    """Run as a script."""
    training.console(INAT)
