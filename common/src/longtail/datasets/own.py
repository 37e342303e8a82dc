"""Anybody's own images, as a folder or a table has them: what is trained on, what is tested on, and what stands in the way."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longtail.datasets.base import Drawn, FileImages, ImageData, LongTailData
from longtail.datasets.defaults import TEST_FRACTION
from longtail.datasets.findings import ERROR, NOTE, WARNING, Finding, counted, examples, shown
from longtail.datasets.gathered import UNDIVIDED, Gathered
from longtail.datasets.made import warn_of_fake
from longtail.datasets.own_folders import MISPLACED, gather_folder
from longtail.datasets.own_table import gather_table
from longtail.datasets.published import IMAGENET_MEAN, IMAGENET_STD
from longtail.datasets.splits import stratified_holdout
from longtail.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnData:
    """What a folder or a table holds, in the parts that it will be used in.

    Args:
        path: as it was given.
        form: how the images were given, in a few words.
        parts: `train`, `test` and perhaps `val`; one may have no image.
        drawn: how the test images were drawn, where none came with the data.
        findings: what is to be told, the worst first.
    """

    path: Path
    form: str
    parts: Mapping[str, ImageData]
    drawn: Drawn | None
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """What the data set is called."""
        return own_name(self.path)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What prevents training."""
        return tuple(each for each in self.findings if each.level == ERROR)


def own_name(path: str | Path) -> str:
    """What the data at a path are called: the last part of it, without the ending of a table."""
    path = Path(path).expanduser().resolve()
    return shown(path.name if path.is_dir() else path.stem) or "data"


def is_there(path: str | Path) -> bool:
    """Whether there is a file or a folder of this path.

    Raises:
        UserError: a folder on the way must not be entered, or this cannot be a path.
    """
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError) as error:  # the latter for the home of a user who is not there
        raise UserError(f"cannot reach {shown(path)}: {getattr(error, 'strerror', None) or error}") from error


def find_own(
    path: str | Path, *, test_fraction: float = TEST_FRACTION, split_seed: int = 0, demand_images: bool = True
) -> OwnData:
    """What a folder or a table holds.

    Where no test images come with the data, the validation images are tested on; where there are none either, a part of each
    class of two images or more is drawn.

    Args:
        path: a folder of class folders, or a table; see `gather_folder` and `gather_table`.
        test_fraction: part of each class to draw for the test set, in (0, 1); see `splits.stratified_holdout`.
        split_seed: which images are drawn.
        demand_images: look whether every image of a table is there.

    Raises:
        UserError: there is nothing, or it cannot be read, or the fraction is out of range.
    """
    if not is_there(path):
        raise UserError(f"there is no folder or table {shown(path)}")
    path = Path(path).expanduser()
    gathered = gather_folder(path) if path.is_dir() else gather_table(path, demand_images=demand_images)
    classes = gathered.class_names
    parts = {part: _images(gathered, part, classes) for part in gathered.parts}
    parts, drawn, told = _divided(parts, test_fraction, split_seed)
    judged = () if any(each.kind in MISPLACED for each in gathered.findings) else _judged(parts, classes)
    findings = sorted([*gathered.findings, *judged, *told], key=lambda finding: (ERROR, WARNING, NOTE).index(finding.level))
    return OwnData(path, gathered.form, parts, drawn, tuple(findings))


def load_own(
    path: str | Path,
    *,
    image_size: int = 224,
    with_val: bool = False,
    test_fraction: float = TEST_FRACTION,
    split_seed: int = 0,
    demand_images: bool = True,
) -> LongTailData:
    """The data set that a folder or a table holds; what it has been made of is told in the log.

    Pictures come upright, as their EXIF orientation says.

    Args:
        path, test_fraction, split_seed, demand_images: see `find_own`.
        image_size: side in pixels that the network sees.
        with_val: also give the validation images, where there are some that are not tested on.

    Raises:
        UserError: something prevents training.
    """
    found = find_own(path, test_fraction=test_fraction, split_seed=split_seed, demand_images=demand_images)
    if found.errors:
        more = f"\nlongtail data inspect {shown(path)} tells what else is wrong" if len(found.errors) > 1 else ""
        raise UserError(found.errors[0].message + more)
    warn_of_fake(found.path if found.path.is_dir() else found.path.parent, "your images")
    for finding in found.findings:
        if finding.level == WARNING or finding.kind in ("test-drawn", "val-is-test"):
            logger.warning("%s: %s", found.name, finding.message.replace("\n", "; "))
    return LongTailData(
        name=found.name,
        train=found.parts["train"],
        val=found.parts.get("val") if with_val else None,
        test=found.parts["test"],
        image_size=image_size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        drawn={} if found.drawn is None else {"test": found.drawn},
    )


def _images(gathered: Gathered, part: str, classes: Sequence[str]) -> ImageData:
    """The images of a part, by class and then by path."""
    label = {name: at for at, name in enumerate(classes)}
    samples = sorted((label[name], path) for path, name in gathered.parts[part])
    paths = tuple(path for _, path in samples)
    labels = np.array([at for at, _ in samples], dtype=np.int64)
    return ImageData(FileImages(gathered.root, paths, upright=True), labels, tuple(classes))


def _divided(
    parts: Mapping[str, ImageData], fraction: float, seed: int
) -> tuple[dict[str, ImageData], Drawn | None, list[Finding]]:
    """The parts as they will be used: training and test images in any case."""
    found = {"train" if part == UNDIVIDED else part: images for part, images in parts.items()}
    if "train" not in found:
        text = "the table has no training images"
        return found, None, [Finding(ERROR, "no-training-images", text, "call the split of some images train")]
    if "test" in found:
        return found, None, []
    if "val" in found:
        found["test"] = found.pop("val")
        text = "there are no test images: the validation images are tested on"
        remedy = "longtail train holds out a part of the training images to choose an epoch"
        return found, None, [Finding(NOTE, "val-is-test", text, remedy)]
    if not len(found["train"]):
        return found, None, []
    return _with_drawn_test(found["train"], fraction, seed)


def _with_drawn_test(images: ImageData, fraction: float, seed: int) -> tuple[dict[str, ImageData], Drawn | None, list[Finding]]:
    if images.class_counts.max() < 2:
        text = "no class has two images, so that none can be tested on"
        return {"train": images}, None, [Finding(ERROR, "no-test-images", text, "add images, or test images of their own")]
    kept, drawn = stratified_holdout(images.labels, fraction, seed)
    test = images.subset(drawn)
    text = f"there are no test images: {fraction:g} of each class, {counted(len(test), 'image')}, drawn with seed {seed}"
    remedy = "--test-fraction and --split-seed change that; run.json tells which images they are"
    return (
        {"train": images.subset(kept), "test": test},
        Drawn.of(test, fraction, seed),
        [Finding(NOTE, "test-drawn", text, remedy)],
    )


def _judged(parts: Mapping[str, ImageData], classes: Sequence[str]) -> Iterator[Finding]:
    """What the class counts of the parts give reason to say."""
    if len(classes) == 1:
        text = f"there is one class only, {shown(classes[0])}"
        yield Finding(ERROR, "one-class", text, "training needs images of two classes or more", tuple(classes))
    yield from _judged_names(classes)
    if "train" not in parts or "test" not in parts:
        return
    train, test = parts["train"].class_counts, parts["test"].class_counts
    unseen = [name for name, count in zip(classes, train, strict=True) if not count]
    if unseen and train.any():
        where = " and ".join(part for part in ("val", "test") if part in parts)
        text = f"{counted(len(unseen), 'class', 'classes')} of {where} without a training image: {examples(unseen)}"
        yield Finding(ERROR, "class-without-training-images", text, "add training images, or take the class out", tuple(unseen))
    untested = [name for name, known, asked in zip(classes, train, test, strict=True) if known and not asked]
    if untested and test.any():
        text = f"{counted(len(untested), 'class', 'classes')} without a test image: {examples(untested)}"
        remedy = "they are trained on, but not judged; add test images if you can"
        yield Finding(WARNING, "class-without-test-images", text, remedy, tuple(untested))
    single = [name for name, count in zip(classes, train, strict=True) if count == 1]
    if single:
        text = f"{counted(len(single), 'class', 'classes')} with a single training image: {examples(single)}"
        yield Finding(NOTE, "class-with-one-image", text, "", tuple(single))


def _judged_names(classes: Iterable[str]) -> Iterator[Finding]:
    """Names that would be trouble in files and tables of results."""
    classes = list(classes)
    damaged = [name for name in classes if not _is_text(name)]
    if damaged:
        text = f"{counted(len(damaged), 'class name')} not in UTF-8: {examples(damaged)}"
        remedy = "rename the folder, or save the table as UTF-8"
        yield Finding(ERROR, "class-name-not-utf-8", text, remedy, tuple(shown(name) for name in damaged))
    folded = Counter(name.strip().casefold() for name in classes)
    alike = [name for name in classes if folded[name.strip().casefold()] > 1]
    if alike:
        text = f"class names that differ in case or spaces only: {examples(alike)}"
        yield Finding(WARNING, "class-names-alike", text, "rename them, if they are one class", tuple(alike))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
