"""The shared core of longtail: data sets, loaders, backbones, losses, metrics and the training loop.

Importing this package imports nothing heavy, so that every command answers `--help` at once.
"""

__version__ = "0.1.0"
