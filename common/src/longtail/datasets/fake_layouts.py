"""The files of each fake data set, in the formats of the real ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from longtail.datasets.base import Indices
from longtail.datasets.cifar import ARCHIVES
from longtail.datasets.fake_pictures import pictures
from longtail.datasets.fake_size import FakeSize
from longtail.datasets.pickles import ByteArray, Content, write_pickle
from longtail.randomness import Randomness

Writer = Callable[[Path, FakeSize, int], dict[str, str]]
"""Writes a layout of some size and seed into a folder and returns md5 sums by file name, where its reader checks them."""

FOLDERS = {name: archive.folder for name, archive in ARCHIVES.items()}
"""Where a layout's files go below the folder asked for, if not straight into it."""

IN_SHARED_ROOTS = frozenset({"inat18-json"})
"""Layouts that go straight into a folder that other data sets have their own folders in."""

_RATIO = 60
"""Largest class / smallest class of the long-tailed layouts."""


# --- CIFAR archives


def _write_cifar10(folder: Path, size: FakeSize, seed: int) -> dict[str, str]:
    archive = ARCHIVES["cifar10"]
    labels, rows = _rows(size.num_classes, size.largest_class, Randomness(seed).generator("fake", 0))
    md5: dict[str, str] = {}
    for batch, part in enumerate(np.array_split(np.arange(len(labels)), len(archive.train)), start=1):
        head = f"training batch {batch} of {len(archive.train)}"
        md5 |= _save(folder / f"data_batch_{batch}", _cifar10_batch(head, labels[part], rows[part]))
    labels, rows = _rows(size.num_classes, size.test_per_class, Randomness(seed).generator("fake", 1))
    md5 |= _save(folder / "test_batch", _cifar10_batch("testing batch 1 of 1", labels, rows))
    names = _class_names(size.num_classes)
    return md5 | _save(folder / "batches.meta", {"num_cases_per_batch": len(labels), "label_names": names, "num_vis": 3072})


def _cifar10_batch(head: str, labels: Indices, rows: ByteArray) -> Content:
    return {"batch_label": head, "labels": labels.tolist(), "data": rows, "filenames": _file_names(labels)}


def _write_cifar100(folder: Path, size: FakeSize, seed: int) -> dict[str, str]:
    md5: dict[str, str] = {}
    parts = (("train", "training", size.largest_class), ("test", "testing", size.test_per_class))
    for key, (name, word, per_class) in enumerate(parts):
        labels, rows = _rows(size.num_classes, per_class, Randomness(seed).generator("fake", key))
        content: Content = {
            "filenames": _file_names(labels),
            "batch_label": f"{word} batch 1 of 1",
            "fine_labels": labels.tolist(),
            "coarse_labels": (labels // 5).tolist(),
            "data": rows,
        }
        md5 |= _save(folder / name, content)
    coarse = [f"fake_group_{group:02d}" for group in range((size.num_classes + 4) // 5)]
    return md5 | _save(folder / "meta", {"fine_label_names": _class_names(size.num_classes), "coarse_label_names": coarse})


def _rows(num_classes: int, per_class: int, rng: np.random.Generator) -> tuple[Indices, ByteArray]:
    """Labels in random order, and images as the archives store them: uint8, shape (N, 3 * 32 * 32), channel by channel."""
    labels = rng.permutation(np.repeat(np.arange(num_classes), per_class))
    return labels, pictures(labels, 32, rng).reshape(len(labels), -1)


def _class_names(num_classes: int) -> list[str]:
    return [f"fake_{c:03d}" for c in range(num_classes)]


def _file_names(labels: Indices) -> list[str]:
    return [f"fake_{label:03d}_s_{index:06d}.png" for index, label in enumerate(labels.tolist())]


def _save(path: Path, content: Content) -> dict[str, str]:
    data = write_pickle(content)
    path.write_bytes(data)
    return {path.name: hashlib.md5(data, usedforsecurity=False).hexdigest()}


# --- JPEG files


def _save_jpegs(folder: Path, labels_by_path: dict[str, int], rng: np.random.Generator) -> None:
    """Pictures of 64 x 64 to 96 x 96 pixels."""
    for parent in {(folder / path).parent for path in labels_by_path}:
        parent.mkdir(parents=True, exist_ok=True)
    paths = iter(labels_by_path)
    labels = np.array(list(labels_by_path.values()), dtype=np.int64)
    # In blocks: all pictures of iNaturalist at once would take 225 MB.
    for first in range(0, len(labels), 512):
        drawn = pictures(labels[first : first + 512], 96, rng)
        for picture, (height, width) in zip(drawn, rng.integers(64, 97, (len(drawn), 2)).tolist(), strict=True):
            image = Image.fromarray(picture[:, :height, :width].transpose(1, 2, 0).copy())
            image.save(folder / next(paths), quality=85)


def long_tailed_sizes(size: FakeSize) -> Indices:
    """Training images per class of the long-tailed layouts, exponential, the largest first."""
    smallest = max(size.largest_class / _RATIO, 1.0)
    sizes: Indices = np.geomspace(size.largest_class, smallest, size.num_classes).round().astype(np.int64)
    return sizes


def _long_tailed_counts(size: FakeSize, rng: np.random.Generator) -> Indices:
    """Images per class in random order of the classes: a reader that takes class 0 for the largest is wrong."""
    return rng.permutation(long_tailed_sizes(size))


@dataclass(frozen=True)
class _Split:
    """One list file.

    Args:
        path: an image's path from (label, number of the image among all of the split).
        files_per_class: images that exist as files; the lines of a class take turns. 0: one file a line.
    """

    list_file: str
    path: Callable[[int, int], str]
    files_per_class: int = 0


Samples = Sequence[tuple[str, int]]
"""Paths and labels, in a list's order."""


def _list_writer(*splits: _Split, text: Callable[[Samples], str]) -> Writer:
    """A writer of lists, the first split long-tailed, the others balanced; samples grouped by class.

    Args:
        splits: the lists.
        text: a list's content.
    """

    def write(folder: Path, size: FakeSize, seed: int) -> dict[str, str]:
        randomness = Randomness(seed)
        balanced = np.full(size.num_classes, size.test_per_class)
        saved: set[str] = set()
        for key, split in enumerate(splits):
            counts = balanced if key else _long_tailed_counts(size, randomness.generator("fake-counts"))
            samples: list[tuple[str, int]] = []
            files: dict[str, int] = {}
            for label, count in enumerate(counts.tolist()):
                paths = [split.path(label, len(files) + index) for index in range(min(count, split.files_per_class or count))]
                samples += [(paths[index % len(paths)], label) for index in range(count)]
                files |= dict.fromkeys(paths, label)
            new = {path: label for path, label in files.items() if path not in saved}
            _save_jpegs(folder, new, randomness.generator("fake", key))
            saved |= new.keys()
            (folder / split.list_file).write_text(text(samples), encoding="utf-8")
        return {}

    return write


def _lines(samples: Samples) -> str:
    return "".join(f"{path} {label}\n" for path, label in samples)


def _rows_of_folders(samples: Samples) -> str:
    """Split folder, class folder and file name; the class folder is the label."""
    return "".join(f"{path.replace('/', ',')}\n" for path, _ in samples)


def _official_inat(samples: Samples) -> str:
    """The form of the competition's files, in which labels stand apart from the images."""
    content = {
        "info": {"description": "generated by longtail to rehearse on"},
        "images": [{"id": number, "file_name": path} for number, (path, _) in enumerate(samples, start=1)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": label} for number, (_, label) in enumerate(samples, start=1)
        ],
    }
    return json.dumps(content)


def _wnid(label: int) -> str:
    return f"n{10_000_000 + label}"


def _inat_path(label: int) -> str:
    kingdoms = ("Animalia", "Aves", "Fungi", "Insecta", "Plantae")
    name = hashlib.blake2b(str(label).encode(), digest_size=16).hexdigest()
    return f"train_val2018/{kingdoms[label % len(kingdoms)]}/{label}/{name}.jpg"


def _write_mini_imagenet(folder: Path, size: FakeSize, seed: int) -> dict[str, str]:
    """Class folders, and the same images as `img,label` lists whose paths begin with `data/`, which readers drop."""
    randomness = Randomness(seed)
    balanced = np.full(size.num_classes, size.test_per_class)
    for key, split in enumerate(("train", "val", "test")):
        counts = balanced if key else _long_tailed_counts(size, randomness.generator("fake-counts"))
        labels = np.repeat(np.arange(size.num_classes), counts).tolist()
        files = {f"{split}/{_wnid(c)}/{_wnid(c)}{key:02d}{number:06d}.jpg": c for number, c in enumerate(labels)}
        _save_jpegs(folder, files, randomness.generator("fake", key))
        lines = ["img,label\n", *(f"data/{path},{label}\n" for path, label in files.items())]
        (folder / f"{split}.csv").write_text("".join(lines), encoding="utf-8")
    return {}


WRITERS: dict[str, Writer] = {
    "cifar10": _write_cifar10,
    "cifar100": _write_cifar100,
    "imagenet-lt": _list_writer(
        _Split("ImageNet_LT_train.txt", lambda label, number: f"train/{_wnid(label)}/{_wnid(label)}_{number}.JPEG", 2),
        _Split("ImageNet_LT_val.txt", lambda label, number: f"train/{_wnid(label)}/{_wnid(label)}_val{number}.JPEG"),
        _Split("ImageNet_LT_test.txt", lambda label, number: f"val/{_wnid(label)}/ILSVRC2012_val_{number + 1:08d}.JPEG"),
        text=_lines,
    ),
    "places-lt": _list_writer(
        _Split("Places_LT_train.txt", lambda label, number: f"train/scene_{label:03d}/{number + 1:08d}.jpg", 4),
        _Split("Places_LT_val.txt", lambda label, number: f"train/scene_{label:03d}/{number + 50_000_001:08d}.jpg"),
        _Split("Places_LT_test.txt", lambda label, number: f"val/scene_{label:03d}/Places365_val_{number + 1:08d}.jpg"),
        text=_lines,
    ),
    "inat18": _list_writer(
        # One file a class for both lists: the file system, not the drawing, is what 8142 folders wait for.
        _Split("iNaturalist18_train.txt", lambda label, _: _inat_path(label), 1),
        _Split("iNaturalist18_val.txt", lambda label, _: _inat_path(label), 1),
        text=_lines,
    ),
    "imagenet-lt-csv": _list_writer(
        _Split("train.csv", lambda label, number: f"train/{label}/{_wnid(label)}_{number}.JPEG", 2),
        _Split("val.csv", lambda label, number: f"val/{label}/ILSVRC2012_val_{number + 1:08d}.JPEG"),
        text=_rows_of_folders,
    ),
    "inat18-json": _list_writer(
        _Split("train2018.json", lambda label, _: _inat_path(label), 1),
        _Split("val2018.json", lambda label, _: _inat_path(label), 1),
        text=_official_inat,
    ),
    "mini-imagenet": _write_mini_imagenet,
}
