"""Long-tailed data sets by name, and a short name for what is in one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from longtail.datasets.base import ArrayImages, Drawn, FileImages, ImageData, Images, LongTailData
from longtail.datasets.cifar import load_cifar
from longtail.datasets.defaults import TEST_FRACTION
from longtail.datasets.digits import load_digits
from longtail.datasets.folder import load_folder
from longtail.datasets.lists import load_list_data
from longtail.datasets.own import is_there, load_own
from longtail.datasets.published import LISTS
from longtail.datasets.splits import stratified_holdout
from longtail.datasets.tables import TABLES, load_tables
from longtail.errors import UserError
from longtail.names import DATASETS, IN_FILES, LISTED, LONG_TAILED_BY_RULE, ON_BAD_IMAGE

assert tuple(LISTS) == LISTED


def is_own(name: str) -> bool:
    """Whether what is given for a data set is the path of a folder or a table, and no name of `DATASETS`."""
    return name not in DATASETS


def known_or_there(name: str) -> str:
    """The name, if it is one of `DATASETS`, or the whole path of a folder or table that is there.

    Raises:
        UserError: it is neither.
    """
    if is_own(name) and not is_there(name):
        if Path(name).name != name:
            raise UserError(f"there is no folder or table {name!r}")
        raise UserError(
            f"unknown data set {name!r}; choose one of {', '.join(DATASETS)}, or give the path of a folder or table"
        )
    return str(Path(name).expanduser().resolve()) if is_own(name) else name


def create_data(
    name: str,
    *,
    root: str | Path = "data",
    imbalance_factor: float = 0.01,
    profile: str = "exp",
    split_seed: int | None = 0,
    holdout: float | None = None,
    holdout_seed: int = 0,
    download: bool = True,
    image_size: int | None = None,
    on_bad_image: str = "fail",
    only_tested: bool = False,
    list_folders: Sequence[str | Path] = (),
    num_classes: int | None = None,
    train_table: str = TABLES["train"],
    test_fraction: float = TEST_FRACTION,
) -> LongTailData:
    """The data set `name` with its long-tailed training set.

    Args:
        name: one of `DATASETS`, or the path of a folder or a table of one's own, see `own.find_own`.
        root: folder of the files; `digits` and a path need none.
        imbalance_factor: smallest class / largest class, in (0, 1]; this, `profile` and `split_seed` are for the data sets of
            `LONG_TAILED_BY_RULE` only; the seed also draws the test images of one's own data that come without any.
        profile: `exp`, `step` or `balanced`; see `splits.class_counts`.
        split_seed: which images the long-tailed training set keeps: those that LDAM's code draws with this seed; None keeps the
            first ones of each class. See `splits.long_tailed_subset`.
        holdout: part of each training class to hold out as `val`, in (0, 1); None holds nothing out. A data set that brings
            validation images of its own (ImageNet-LT, Places-LT, a `val.csv`, a folder `val`) gives those instead, all of them.
        holdout_seed: which images are held out.
        download: fetch files that are missing, where that is possible.
        image_size: side in pixels that the network sees, for images in files; None takes the papers' 224.
        on_bad_image: `fail` stops here where a list names a missing file, and where a file is read that cannot be read;
            `skip` reads every file once and leaves out the bad ones, see `readable.leave_out_unreadable`.
        only_tested: of the training set nothing but its labels is needed, so that the images of its list need not be there.
        list_folders: where the lists of `LISTS` are looked for first, see `lists.load_list_data`.
        num_classes, train_table: for `csv` only, see `tables.load_tables`.
        test_fraction: for one's own data only, see `own.find_own`.

    Raises:
        UserError: for an unknown name, missing or damaged files, and impossible splits.
    """
    name = known_or_there(name)
    if on_bad_image not in ON_BAD_IMAGE:
        raise UserError(f"unknown treatment {on_bad_image!r} of bad images; choose one of {', '.join(ON_BAD_IMAGE)}")
    if image_size is not None and name in LONG_TAILED_BY_RULE:
        raise UserError(f"the images of {name} keep their size; an image size can be chosen for {', '.join(IN_FILES)}")
    size, with_val = _checked_size(image_size), holdout is not None
    looked_at = () if on_bad_image == "skip" else ("test",) if only_tested else ("train", "val", "test")
    if name == "digits":
        data = load_digits(imbalance_factor=imbalance_factor, profile=profile, split_seed=split_seed)
    elif name in LONG_TAILED_BY_RULE:
        data = load_cifar(
            name, root, imbalance_factor=imbalance_factor, profile=profile, split_seed=split_seed, download=download
        )
    elif name == "folder":
        data = load_folder(root, image_size=size, with_val=with_val)
    elif name == "csv":
        data = load_tables(
            root,
            image_size=size,
            with_val=with_val,
            check_files=looked_at,
            num_classes=num_classes,
            train_table=train_table,
        )
    elif name in LISTS:
        data = load_list_data(name, root, image_size=size, with_val=with_val, check_files=looked_at, list_folders=list_folders)
    else:
        data = load_own(
            name,
            image_size=size,
            with_val=with_val,
            test_fraction=test_fraction,
            split_seed=_drawn_with(split_seed),
            demand_images=bool(looked_at),
        )
    if not looked_at and name not in LONG_TAILED_BY_RULE:
        data = _without_unreadable(data)
    held = hold_out(data, holdout, holdout_seed)
    if not is_own(name) or held.val is None or held.val is data.val or holdout is None:
        return held
    return replace(held, drawn={**held.drawn, "val": Drawn.of(held.val, holdout, holdout_seed)})


def hold_out(data: LongTailData, fraction: float | None, seed: int = 0) -> LongTailData:
    """The data set with a part of each training class as `val`, if it has no `val` yet.

    Args:
        data: the data set.
        fraction: part of each class, see `splits.stratified_holdout`; None holds nothing out.
        seed: which images are held out.

    Raises:
        UserError: for a fraction outside (0, 1), or where no class has two images.
    """
    if fraction is None or data.val is not None:
        return data
    kept, held_out = stratified_holdout(data.train.labels, fraction, seed)
    return replace(data, train=data.train.subset(kept), val=data.train.subset(held_out))


def _checked_size(image_size: int | None) -> int:
    size = 224 if image_size is None else image_size
    if size < 1:
        raise UserError(f"an image size is at least 1 pixel, got {size}")
    return size


def _drawn_with(split_seed: int | None) -> int:
    if split_seed is None:
        raise UserError("the test images of data of your own are drawn; --split-seed takes a number for them, not first")
    return split_seed


def _without_unreadable(data: LongTailData) -> LongTailData:
    from longtail.datasets.readable import leave_out_unreadable  # brings Pillow, for which a command's help need not wait

    return leave_out_unreadable(data)


def fingerprint(data: LongTailData) -> str:
    """16 hexadecimal digits that change with any image, label, class name, order or split of `data`.

    Images in memory count by their pixels, images in files by their paths, wherever they lie. Same on every machine.
    """
    digest = hashlib.blake2b(digest_size=8)
    parts = [data.train, data.val, data.test]
    if data.meta is not None:  # its absence leaves no mark, or every older fingerprint would change
        parts.append(data.meta)
    for part in parts:
        digest.update(b"-" if part is None else b"+")
        for piece in () if part is None else _pieces(part):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(part: ImageData) -> Iterator[bytes | memoryview]:
    """What is hashed of a part, each piece preceded by its extent so that none can run into the next."""
    names = "\n".join(part.class_names).encode()
    form, images = _content(part.images)
    for piece in (np.ascontiguousarray(part.labels, dtype="<i8").data, names, images):
        yield f"{form} {memoryview(piece).nbytes}\n".encode()
        yield piece


def _content(images: Images) -> tuple[str, bytes | memoryview]:
    if isinstance(images, ArrayImages):
        return str(images.array.shape), np.ascontiguousarray(images.array).data
    if not isinstance(images, FileImages):
        raise ValueError(f"no fingerprint is known for {type(images).__name__}")
    return "upright paths" if images.upright else "paths", "\n".join(images.paths).encode(errors="surrogateescape")
