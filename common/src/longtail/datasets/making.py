"""Making what a paper's code reads: a long-tailed data set in files of a balanced one, or lists of images that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from longtail.datasets.made import MARKER, Made, made
from longtail.datasets.staging import is_written, staged
from longtail.errors import UserError

if TYPE_CHECKING:
    from longtail.datasets.contents import Contents
    from longtail.datasets.making_lists import Lists

KINDS = {
    "cifar10-lt": "CIFAR-10 with an exponential tail, as PNG files",
    "cifar100-lt": "CIFAR-100 with an exponential tail, as PNG files",
    "digits": "the embedded handwritten digits with an exponential tail, as PNG files",
    "mini-imagenet-lt": "mini-ImageNet with every class in every part, as its published lists or new ones say",
    "lists": "train.txt, val.txt, test.txt and class counts, of the images in class folders",
    "inat18-lists": "the lists and class counts of iNaturalist 2018, of the JSON files of its competition",
    "num-shots": "num_shots.npz and num_shots.txt, the class counts of a training list",
}
"""What can be made, in a few words."""

WITHOUT_IMAGES = frozenset({"lists", "inat18-lists", "num-shots"})
"""What is but a few files, which join whatever a folder holds."""

WITHOUT_SOURCE = frozenset({"digits"})
"""What is made of nothing but what is installed."""

_PARTIAL = ".longtail-made-partial"
_VERSION = 1


class Maker(Protocol):
    """One way of making a data set; a frozen dataclass whose fields decide what comes out."""

    def contents(self, source: Path, *, in_place: bool) -> Contents | Lists:
        """What the data set holds.

        Args:
            source: folder of the data set that it is made of.
            in_place: it goes into that folder.
        """
        ...


def make(what: str, source: str | Path | None, out: str | Path, *, class_folders: bool = False, **options: Any) -> Made:
    """Makes a long-tailed data set of another one and writes it below `out`, or only lists.

    There it is read as `csv`, or with `class_folders` as `folder`; what has no images of its own is read with those of the
    source. Nothing that exists is ever deleted or overwritten. Asked again for what is already there, it does nothing but
    look whether lists still hold; interrupted, it leaves nothing that is taken for a data set.

    Args:
        what: one of `KINDS`.
        source: folder of the data set that it is made of; None for what is in `WITHOUT_SOURCE`.
        out: folder to write into, empty or new; what is in `WITHOUT_IMAGES` may join other files.
        class_folders: write PART/CLASS/NAME instead of tables with images beside them; not where there are no images.
        options: those of `making_cifar.CifarLT`, `making_digits.DigitsLT`, `making_mini_imagenet.MiniImageNetLT` or the classes
            of `making_lists`.

    Returns:
        What was made.

    Raises:
        UserError: for an unknown name, impossible options, a source that does not hold what is needed, or a folder `out` that
            holds anything else.
        TypeError: for an option that this kind does not have, and for a missing or needless source.
    """
    if (source is None) != (what in WITHOUT_SOURCE):
        raise TypeError(f"{what} {'has no' if what in WITHOUT_SOURCE else 'needs a'} source")
    maker = _maker(what, options)
    if class_folders and what in WITHOUT_IMAGES:
        raise TypeError(f"{what} has no class_folders")
    source, target = Path(source or "").expanduser().resolve(), Path(out).expanduser()
    settings = {
        "version": _VERSION,
        "what": what,
        "source": "" if what in WITHOUT_SOURCE else str(source),
        "class_folders": class_folders,
        **_told(maker),
    }
    found = made(target)
    joins = what in WITHOUT_IMAGES or (options.get("lists") is not None and not class_folders)
    in_place = joins and target.resolve() == source
    shared = in_place or what in WITHOUT_IMAGES
    there = None if found is None else found.settings
    if is_written(target, there, settings, kind="prepared data", partial=_PARTIAL, shared=shared) and found is not None:
        if what in WITHOUT_IMAGES:
            _check_lists(maker, source, target)
        return found
    contents = maker.contents(source, in_place=in_place)
    result = Made(settings, contents.told(), contents.fake)
    try:
        with staged(target, _PARTIAL, last=(*contents.comes_last, MARKER)) as folder:
            contents.save(folder, class_folders=class_folders)
            result.mark(folder)
    except OSError as error:
        raise UserError(f"cannot write prepared data to {target}: {error}") from error
    return result


def _check_lists(maker: Maker, source: Path, folder: Path) -> None:
    """Looks that lists are as they would be made now: unlike data sets, they are edited, and the images they name change."""
    from longtail.datasets.making_lists import Lists

    contents = maker.contents(source, in_place=False)
    assert isinstance(contents, Lists)
    contents.check(folder)


def _maker(what: str, options: Mapping[str, Any]) -> Maker:
    # numpy waits until something is made: commands read KINDS to print their help
    from longtail.datasets.making_cifar import CifarLT
    from longtail.datasets.making_digits import DigitsLT
    from longtail.datasets.making_lists import ClassLists, INat18Lists, NumShots
    from longtail.datasets.making_mini_imagenet import MiniImageNetLT

    if what not in KINDS:
        raise UserError(f"nothing called {what!r} can be made; choose one of {', '.join(KINDS)}")
    if what.startswith("cifar"):
        return CifarLT(what.removesuffix("-lt"), **options)
    kinds: dict[str, Callable[..., Maker]] = {
        "digits": DigitsLT,
        "mini-imagenet-lt": MiniImageNetLT,
        "lists": ClassLists,
        "inat18-lists": INat18Lists,
        "num-shots": NumShots,
    }
    return kinds[what](**options)


def _told(maker: Any) -> dict[str, Any]:
    """The options as JSON gives them back."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(maker).items()}
