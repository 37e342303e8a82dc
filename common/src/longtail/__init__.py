"""The shared core of longtail: data sets, loaders, backbones, losses, metrics and the training loop.

Importing this package imports nothing heavy, so that every command answers `--help` at once; what it offers by itself is
imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longtail.cli.compare import compare as compare
    from longtail.training.trained import load_run as load_run

__version__ = "0.1.0"

_OFFERED = {"compare": "longtail.cli.compare", "load_run": "longtail.training.trained"}
"""Functions for Python programs, and the modules that they live in."""


def __getattr__(name: str) -> Any:
    if name in _OFFERED:
        return getattr(import_module(_OFFERED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
