"""Small stand-ins for the papers' data sets, to rehearse a command where the real files are not at hand.

Every layout has the real folder and list format and, unless overridden, the real number of classes. The pictures are generated:
a class fixes two colours and a pattern, noise does the rest, so that a network learns something and its accuracy means nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from longtail.datasets.fake_size import MARKER, FakeSize, Generated, generated
from longtail.datasets.staging import is_written, staged
from longtail.errors import UserError

_PARTIAL = ".longtail-fake-partial"
_VERSION = 1


# 120 images in the largest class and 2 in the smallest give all three shot groups. The CIFAR archives are as large as the real
# ones, because the training set is cut from them by the paper's rule and class counts should come out as published.
_SIZES = {
    "cifar10": FakeSize(10, 5000, 1000),
    "cifar100": FakeSize(100, 500, 100),
    "imagenet-lt": FakeSize(1000, 120, 2),
    "places-lt": FakeSize(365, 120, 2),
    "inat18": FakeSize(8142, 120, 1),
    "imagenet-lt-csv": FakeSize(1000, 120, 2),
    "inat18-json": FakeSize(8142, 120, 1),
    "mini-imagenet": FakeSize(100, 120, 5),
}

LAYOUTS = tuple(_SIZES)
"""The names that `write_fake` knows."""


def write_fake(
    layout: str,
    out: str | Path,
    *,
    seed: int = 0,
    num_classes: int | None = None,
    largest_class: int | None = None,
    test_per_class: int | None = None,
) -> Path:
    """Writes a generated data set below `out`, which is then the `--root` of a training command.

    Nothing that exists is ever deleted or overwritten. Asked again for what is already there, it does nothing.

    Args:
        layout: one of `LAYOUTS`.
        out: folder to write into; created where missing. The CIFAR layouts write into their own folder below it. That of
            `inat18-json` may hold other data sets; for the others it is empty or new.
        seed: a non-negative integer; the same seed gives the same files, byte for byte (JPEGs: with the same Pillow).
        num_classes, largest_class, test_per_class: see `FakeSize`; None takes the layout's own.

    Returns:
        The folder that the files are in: `out`, or the CIFAR folder below it.

    Raises:
        UserError: for an unknown layout, an impossible size, a folder that holds anything else, or, in a shared one, something
            in the place of what would be written.
    """
    if layout not in _SIZES:
        raise UserError(f"unknown layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    if seed < 0:
        raise UserError(f"a seed is a non-negative integer, got {seed}")
    given = {"num_classes": num_classes, "largest_class": largest_class, "test_per_class": test_per_class}
    size = replace(_SIZES[layout], **{field: value for field, value in given.items() if value is not None})
    asked = Generated(layout, size, seed, _VERSION)

    # numpy and Pillow wait until somebody wants pictures: commands read LAYOUTS to print their help.
    from longtail.datasets import fake_layouts

    target = Path(out).expanduser() / fake_layouts.FOLDERS.get(layout, "")
    found = generated(target)
    settings = None if found is None else found.settings
    shared = layout in fake_layouts.IN_SHARED_ROOTS
    if is_written(target, settings, asked.settings, kind="fake data", partial=_PARTIAL, shared=shared):
        return target
    try:
        with staged(target, _PARTIAL, last=(MARKER,)) as folder:
            md5 = fake_layouts.WRITERS[layout](folder, size, seed)
            replace(asked, md5=md5).mark(folder)
    except OSError as error:
        raise UserError(f"cannot write fake data to {target}: {error}") from error
    return target
