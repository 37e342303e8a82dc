"""`cifar_train.py`: CMO on CIFAR-100-LT."""

from __future__ import annotations

from longtail_cmo import training
from longtail_cmo.experiments import CIFAR


def console() -> None:
    """Run as a script."""
    training.console(CIFAR)
