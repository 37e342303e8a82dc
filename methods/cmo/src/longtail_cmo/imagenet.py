"""`imagenet_train.py`: CMO on ImageNet-LT."""

from __future__ import annotations

from longtail_cmo import training
from longtail_cmo.experiments import IMAGENET


def console() -> None:
    """Run as a script."""
    training.console(IMAGENET)
