"""Rare-class sample generation (RSG) and loss functions on long-tailed images: a study's commands, on the core of longtail."""

__version__ = "0.1.0"
