"""CIFAR-10-LT and CIFAR-100-LT, from the original python archives or from fake ones in their form."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from longtail.datasets.base import ArrayImages, ImageData, Indices, LongTailData
from longtail.datasets.fake_size import generated, say_generated
from longtail.datasets.pickles import ByteArray, read_pickle
from longtail.datasets.splits import class_counts, long_tailed_subset
from longtail.errors import UserError

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)
"""CIFAR-10's normalisation, which the long-tail papers use for CIFAR-100 as well."""


@dataclass(frozen=True)
class Archive:
    """What is known of one published archive: names inside it and md5 sums.

    Typed out rather than taken from torchvision, whose import takes seconds that a run with the files in place need not spend.
    """

    title: str
    folder: str
    tar: str
    tar_md5: str
    train: dict[str, str]
    test: dict[str, str]
    meta: dict[str, str]
    labels_key: str
    names_key: str
    torchvision_class: str

    @property
    def files(self) -> dict[str, str]:
        """Published md5 by file name."""
        return {**self.train, **self.test, **self.meta}


ARCHIVES = {
    "cifar10": Archive(
        title="CIFAR-10",
        folder="cifar-10-batches-py",
        tar="cifar-10-python.tar.gz",
        tar_md5="c58f30108f718f92721af3b95e74349a",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
        labels_key="labels",
        names_key="label_names",
        torchvision_class="CIFAR10",
    ),
    "cifar100": Archive(
        title="CIFAR-100",
        folder="cifar-100-python",
        tar="cifar-100-python.tar.gz",
        tar_md5="eb9058c3a382ffc7106e4002c42a8d85",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
        labels_key="fine_labels",
        names_key="fine_label_names",
        torchvision_class="CIFAR100",
    ),
}


def load_cifar(
    name: str,
    root: str | Path,
    *,
    imbalance_factor: float = 0.01,
    profile: str = "exp",
    split_seed: int | None = 0,
    download: bool = True,
) -> LongTailData:
    """CIFAR with a long-tailed training set and the whole, balanced test set.

    The largest class keeps all its images: 5000 (CIFAR-10) or 500 (CIFAR-100) of the published data.

    Args:
        name: `cifar10` or `cifar100`.
        root: folder that holds `cifar-10-batches-py/` or `cifar-100-python/`, or the published `.tar.gz`; or the inner folder.
        imbalance_factor, profile: see `splits.class_counts`.
        split_seed: see `splits.long_tailed_subset`.
        download: fetch the archive into `root` where it is missing.

    Raises:
        UserError: for missing, damaged or altered files and for impossible splits.
    """
    stored = read_cifar(name, root, download=download)
    counts = class_counts(stored.train.num_classes, int(stored.train.class_counts.max()), imbalance_factor, profile)
    return LongTailData(
        name=name,
        train=stored.train.subset(long_tailed_subset(stored.train.labels, counts, split_seed)),
        val=None,
        test=stored.test.subset(np.arange(len(stored.test))),
        image_size=32,
        mean=MEAN,
        std=STD,
    )


class Cifar(NamedTuple):
    """A whole CIFAR in the order of its files, the images as they are stored: a `subset` of a part has `ArrayImages`."""

    train: ImageData
    test: ImageData


def read_cifar(name: str, root: str | Path, *, download: bool = True) -> Cifar:
    """The whole published training and test set, from which only the images of a subset are ever copied.

    Args:
        name, root, download: see `load_cifar`.

    Raises:
        UserError: for missing, damaged or altered files.
    """
    archive = ARCHIVES[name]
    folder = _find(name, archive, Path(root).expanduser(), download)
    checksums = _Checksums.of(folder, archive)
    names = tuple(checksums.read(folder / next(iter(archive.meta)))[archive.names_key])
    train, test = (_read_part(folder, files, archive.labels_key, names, checksums) for files in (archive.train, archive.test))
    if checksums.fake_files:
        say_generated(folder, archive.title)
    return Cifar(train, test)


def _find(name: str, archive: Archive, root: Path, download: bool) -> Path:
    if root.is_file():
        raise UserError(f"{root} is a file; the data root is the folder that holds {archive.folder}/")
    folder = root / archive.folder
    if not folder.is_dir() and root.name == archive.folder and (root / next(iter(archive.meta))).is_file():
        folder = root
    if not folder.is_dir():
        if (root / archive.tar).is_file():
            _unpack(archive, root)
        elif download:
            _download(name, archive, root)
        else:
            raise UserError(f"{archive.title} is not in {root}. {_wanted(name, archive, root)}")
    for file in archive.files:
        if not (folder / file).is_file():
            raise UserError(f"{folder} is incomplete: {file} is missing. Delete the folder. {_wanted(name, archive, root)}")
    return folder


def _wanted(name: str, archive: Archive, root: Path) -> str:
    return (
        f"Expected: {root / archive.folder}/ with {', '.join(archive.files)}, or {root / archive.tar}.\n"
        f"To rehearse on fake data: longtail data fake --layout {name} --out {root}"
    )


def _unpack(archive: Archive, root: Path) -> None:
    tar = root / archive.tar
    if (found := _md5(tar)) != archive.tar_md5:
        raise UserError(f"{tar} is damaged: its md5 is {found}, published is {archive.tar_md5}. Delete it and fetch it again.")
    from torchvision.datasets.utils import extract_archive  # type: ignore[import-untyped]

    try:
        with TemporaryDirectory(prefix=".unpack-", dir=root) as private:
            extract_archive(str(tar), private)
            _move_in(Path(private) / archive.folder, root)
    except OSError as error:
        raise UserError(f"cannot unpack {tar}: {error}") from error


def _download(name: str, archive: Archive, root: Path) -> None:
    from torchvision import datasets  # type: ignore[import-untyped]

    url = getattr(datasets, archive.torchvision_class).url
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=root) as private:
            datasets.utils.download_and_extract_archive(url, private, filename=archive.tar, md5=archive.tar_md5)
            _move_in(Path(private) / archive.folder, root)
    except (OSError, RuntimeError) as error:
        reason = f"{archive.title} is not in {root}, and downloading it failed ({error})"
        raise UserError(f"{reason}. {_wanted(name, archive, root)}") from error


def _move_in(folder: Path, root: Path) -> None:
    """Puts a complete folder into the root at once: no other process, and no run after a kill, ever meets half of it."""
    try:
        folder.rename(root / folder.name)
    except OSError:
        if not (root / folder.name).is_dir():  # if it is there, another rank was faster
            raise


@dataclass
class _Checksums:
    """Reads only files with a known md5: the published one, or the one that a fake archive's marker states."""

    published: dict[str, str]
    fake: Mapping[str, str]
    fake_files: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, archive: Archive) -> _Checksums:
        fake = generated(folder)
        return cls(archive.files, {} if fake is None else fake.md5)

    def read(self, path: Path) -> dict[str, Any]:
        found = _md5(path)
        if found != self.published[path.name]:
            expected = self.fake.get(path.name, self.published[path.name])
            if found != expected:
                raise UserError(
                    f"{path} is damaged or altered: its md5 is {found}, expected is {expected}. "
                    f"Delete {path.parent} and unpack, fetch or generate it again."
                )
            self.fake_files.append(path.name)
        try:
            with path.open("rb") as file:
                return read_pickle(file)
        except pickle.UnpicklingError as error:
            raise UserError(f"{path} is not a CIFAR archive: {error}") from error


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    buffer = memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return digest.hexdigest()


def _read_part(
    folder: Path, files: Iterable[str], labels_key: str, class_names: tuple[str, ...], checksums: _Checksums
) -> ImageData:
    rows, labels = [], []
    for file in files:
        content = checksums.read(folder / file)
        try:
            data, of_data = content["data"], np.asarray(content[labels_key], dtype=np.int64)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"{folder / file} is not a CIFAR archive: no images or labels in it") from error
        if not isinstance(data, np.ndarray) or data.shape != (len(of_data), 3 * 32 * 32):
            raise UserError(f"{folder / file} is not a CIFAR archive: images and labels do not fit together")
        rows.append(data)
        labels.append(of_data)
    return ImageData(StoredImages(tuple(rows)), np.concatenate(labels), class_names)


@dataclass(frozen=True)
class StoredImages:
    """Images as CIFAR's files hold them; only those that are taken are copied.

    Args:
        rows: of each file, uint8, shape (N, 3 * 32 * 32): an image a row, channel by channel.
    """

    rows: tuple[ByteArray, ...]

    def __len__(self) -> int:
        """Number of images, over all files."""
        return sum(map(len, self.rows))

    def take(self, indices: Indices) -> ArrayImages:
        """The images at `indices`, in that order."""
        chosen = np.empty((len(indices), 32, 32, 3), dtype=np.uint8)
        first = 0
        for rows in self.rows:
            here = (indices >= first) & (indices < first + len(rows))
            chosen[here] = rows[indices[here] - first].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            first += len(rows)
        return ArrayImages(chosen)
