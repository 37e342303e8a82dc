"""Making a long-tailed data set in files of a balanced one: the lists or folders that a paper's code reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from longtail.datasets.made import MARKER, Made, made
from longtail.datasets.staging import is_written, staged
from longtail.errors import UserError

if TYPE_CHECKING:
    from longtail.datasets.contents import Contents

KINDS = {
    "cifar10-lt": "CIFAR-10 with an exponential tail, as PNG files",
    "cifar100-lt": "CIFAR-100 with an exponential tail, as PNG files",
    "mini-imagenet-lt": "mini-ImageNet with every class in every part, as its published lists or new ones say",
}
"""What can be made, in a few words."""

_PARTIAL = ".longtail-made-partial"
_VERSION = 1


class Maker(Protocol):
    """One way of making a data set; a frozen dataclass whose fields decide what comes out."""

    def contents(self, source: Path, *, in_place: bool) -> Contents:
        """What the data set holds.

        Args:
            source: folder of the data set that it is made of.
            in_place: it goes into that folder.
        """
        ...


def make(what: str, source: str | Path, out: str | Path, *, class_folders: bool = False, **options: Any) -> Made:
    """Makes a long-tailed data set of another one and writes it below `out`.

    There it is read as `csv`, or with `class_folders` as `folder`. Nothing that exists is ever deleted or overwritten. Asked
    again for what is already there, it does nothing; interrupted, it leaves nothing that is taken for a data set.

    Args:
        what: one of `KINDS`.
        source: folder of the data set that it is made of.
        out: folder to write into, empty or new.
        class_folders: write PART/CLASS/NAME instead of tables with images beside them.
        options: those of `making_cifar.CifarLT` or `making_mini_imagenet.MiniImageNetLT`.

    Returns:
        What was made.

    Raises:
        UserError: for an unknown name, impossible options, a source that does not hold what is needed, or a folder `out` that
            holds anything else.
        TypeError: for an option that this kind does not have.
    """
    maker = _maker(what, options)
    source, target = Path(source).expanduser().resolve(), Path(out).expanduser()
    settings = {"version": _VERSION, "what": what, "source": str(source), "class_folders": class_folders, **_told(maker)}
    found = made(target)
    in_place = options.get("lists") is not None and not class_folders and target.resolve() == source
    there = None if found is None else found.settings
    if is_written(target, there, settings, kind="prepared data", partial=_PARTIAL, shared=in_place) and found is not None:
        return found
    contents = maker.contents(source, in_place=in_place)
    result = Made(settings, contents.told(), contents.fake)
    try:
        with staged(target, _PARTIAL, last=("train", "train.csv", MARKER)) as folder:
            contents.save(folder, class_folders=class_folders)
            result.mark(folder)
    except OSError as error:
        raise UserError(f"cannot write prepared data to {target}: {error}") from error
    return result


def _maker(what: str, options: Mapping[str, Any]) -> Maker:
    # numpy waits until something is made: commands read KINDS to print their help
    from longtail.datasets.making_cifar import CifarLT
    from longtail.datasets.making_mini_imagenet import MiniImageNetLT

    if what not in KINDS:
        raise UserError(f"nothing called {what!r} can be made; choose one of {', '.join(KINDS)}")
    return MiniImageNetLT(**options) if what == "mini-imagenet-lt" else CifarLT(what.removesuffix("-lt"), **options)


def _told(maker: Any) -> dict[str, Any]:
    """The options as JSON gives them back."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(maker).items()}
