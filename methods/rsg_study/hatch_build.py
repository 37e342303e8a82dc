"""Builds this package with hatchling, and says where the core that it requires comes from.

Installed from a clone, the core is the clone's own `common`. Whatever leaves the clone, an sdist and the wheel built from it,
requires the core's release of the same version. So does an editable install, which expects an editable core at its side: pip
takes no editable package where a requirement names a path.

A build sees no file outside its own folder, so every method has a copy of this one; the packaging tests compare them.
"""

import os
from pathlib import Path
from typing import Any

from hatchling import build as hatchling
from hatchling.build import (
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)
from hatchling.metadata.plugin.interface import MetadataHookInterface

# hatchling's `prepare_metadata` hooks stay out: without them, front ends ask the functions below.
__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

RELEASED_CORE = "LONGTAIL_RELEASED_CORE"


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build an sdist that names no path of this clone."""
    os.environ[RELEASED_CORE] = "1"
    return hatchling.build_sdist(sdist_directory, config_settings)


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build an editable wheel that accepts an editable core."""
    os.environ[RELEASED_CORE] = "1"
    return hatchling.build_editable(wheel_directory, config_settings, metadata_directory)


class CoreRequirement(MetadataHookInterface):
    """Completes the requirement on `longtail-common` with a path or a version."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the dependencies from `[tool.hatch.metadata.hooks.custom]`."""
        core = Path(self.root).parents[1] / "common"
        from_clone = RELEASED_CORE not in os.environ and (core / "src" / "longtail").is_dir()
        source = f" @ {core.as_uri()}" if from_clone else f"=={metadata['version']}"
        metadata["dependencies"] = [
            name + source if name.startswith("longtail-common") else name for name in self.config["dependencies"]
        ]
