"""CADEL (2023): cascaded ensemble heads for long-tailed image classification, on the core of longtail."""

__version__ = "0.1.0"
