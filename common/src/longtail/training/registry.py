"""Which methods are installed. Free of torch, so that help texts can name them at once."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "longtail.methods"
"""The entry-point group under which packages offer their methods."""


def installed_methods() -> dict[str, EntryPoint]:
    """The entry points of the installed methods by name, sorted, none of them loaded."""
    return {each.name: each for each in sorted(entry_points(group=GROUP), key=lambda each: each.name)}
