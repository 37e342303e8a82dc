"""A trained run, ready to predict: made again from its folder, method and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from longtail.backbones import CosineLinear, create_backbone
from longtail.datasets.base import ArrayImages, FileImages, ImageData, Images, Indices, LongTailData
from longtail.datasets.decode import UnreadableImage
from longtail.distributed import Ranks
from longtail.errors import UserError
from longtail.loading.factory import create_loader
from longtail.loading.framing import Framed
from longtail.loading.normalise import Normalise
from longtail.loading.orders import Sequential
from longtail.losses import LDAM
from longtail.metrics import ClassificationCounts, ShotThresholds, Summary, summarise
from longtail.randomness import Randomness
from longtail.training import checkpoint
from longtail.training.devices import autocast, choose_device, place
from longtail.training.files import read_json
from longtail.training.method import Setting, load_method
from longtail.training.pictures import Pictures, Shower, as_sequence
from longtail.training.priors import Adjustment, Prior, adjustment
from longtail.training.recipe import Predict, Recipe
from longtail.training.run_folder import RUN_JSON, CheckpointNames
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage

WHICH = ("best", "last")
"""The checkpoints of a run: of the epoch that was chosen, and of the latest."""


@dataclass(frozen=True)
class Predictions:
    """What a network makes of N images.

    Args:
        probabilities: float32, shape (N, C).
        class_names: the C classes.
    """

    probabilities: npt.NDArray[np.float32]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.probabilities)

    @property
    def labels(self) -> Indices:
        """The number of each image's most probable class, the first of them in a tie: int64, shape (N,)."""
        labels: Indices = self.probabilities.argmax(axis=1).astype(np.int64)
        return labels

    @property
    def classes(self) -> list[str]:
        """The name of each image's most probable class."""
        return [self.class_names[label] for label in self.labels]

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """For each image its k most probable classes (all, where there are fewer), with their probabilities.

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k is at least 1, got {k}")
        ranked = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.class_names[c], float(row[c])) for c in best] for row, best in zip(self.probabilities, ranked, strict=True)
        ]


class FilesDone(NamedTuple):
    """Some files that a network has seen.

    read: those that could be read.
    predictions: for them.
    unreadable: the others, each with the reason.
    """

    read: list[Path]
    predictions: Predictions
    unreadable: list[tuple[Path, str]]


@dataclass(frozen=True)
class TrainedRun:
    """A run of `longtail train`, with its network on a device.

    Args:
        folder: of the run.
        record: its `run.json`.
        which: `best` or `last`.
        epoch: epochs that this network was trained for.
        recipe: the method's, in evaluation mode; its `predict` is what the epochs of the run were evaluated with.
        class_names: C of them.
        class_counts: training images per class, int64 (C,).
        image_size: side in pixels of what the network sees.
        mean, std: per-channel normalisation of values in [0, 1].
        shower: brings pictures to that size.
        thresholds: bounds of the shot groups.
        options: precision and memory format.
        device: where the network is.
        reading: name of the way to predict, one of the recipe's `predictors`; None is its `predict`.
        adjustment: to another class prior than the learnt one, see `adjusted`.
    """

    folder: Path
    record: Mapping[str, Any]
    which: str
    epoch: int
    recipe: Recipe
    class_names: tuple[str, ...]
    class_counts: Indices
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shower: Shower
    thresholds: ShotThresholds
    options: RuntimeOptions
    device: torch.device
    reading: str | None = None
    adjustment: Adjustment | None = None

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.record["model"]["method"])

    @property
    def is_finished(self) -> bool:
        """Whether training had come to its end."""
        return bool(self.record.get("finished"))

    @property
    def logit_scale(self) -> float:
        """What makes the recipe's predictions logits of a softmax: the scale of LDAM where they are cosines, otherwise 1."""
        if not isinstance(getattr(self.recipe.backbone, "classifier", None), CosineLinear):
            return 1.0
        return next((float(each.scale) for each in self.recipe.modules() if isinstance(each, LDAM)), 1.0)

    @property
    def predictor(self) -> Predict:
        """Maps images (B, 3, H, W) to what the method predicts, shape (B, C)."""
        return self.recipe.predict if self.reading is None else self.recipe.predictors()[self.reading]

    def adjusted(self, target: Prior, source: Prior | None = None) -> TrainedRun:
        """The same network, whose predictions answer for other shares of the classes than the learnt ones.

        Args:
            target: shares of the images to come: `uniform`, `train`, a file, or shares or counts by class or in their order.
            source: shares that the logits have learnt; None: those of the training images, and uniform after balanced softmax
                and logit adjustment, whose losses take them out themselves.

        Raises:
            UserError: these are not shares of the run's classes.
        """
        return replace(self, adjustment=adjustment(self, target, source))

    def logits(self, images: Tensor) -> Tensor:
        """Logits, float32, shape (B, C), of normalised images (B, 3, H, W) on the device; probabilities are their softmax."""
        logits = self._learnt_logits(images)
        return logits if self.adjustment is None else logits + self.adjustment.shift.to(self.device)

    def _learnt_logits(self, images: Tensor) -> Tensor:
        with torch.no_grad(), autocast(self.device, self.options.precision):
            shown = images if self.options.channels_last else images.contiguous()
            return self.predictor(shown).float() * self.logit_scale

    def predict(self, images: Pictures, *, batch_size: int = 64) -> Predictions:
        """Probabilities of the classes.

        Args:
            images: one or several, each a path, a Pillow image, or uint8 RGB of shape (H, W, 3); or an array (N, H, W, 3).
            batch_size: images at a time.

        Raises:
            UserError: an image cannot be read, or an array does not fit.
        """
        pictures = as_sequence(images)
        blocks = [np.empty((0, len(self.class_names)), dtype=np.float32)]
        for start in range(0, len(pictures), _checked_batch(batch_size)):
            some = pictures[start : start + batch_size]
            squares = self.shower.show_all(some)
            for picture, square in zip(some, squares, strict=True):
                if isinstance(square, UnreadableImage):
                    raise UserError(f"{picture if isinstance(picture, str | Path) else 'the picture'} cannot be read: {square}")
            blocks.append(self._probabilities([each for each in squares if isinstance(each, Tensor)]))
        return Predictions(np.concatenate(blocks), self.class_names)

    def predict_files(self, paths: Sequence[Path], *, batch_size: int = 64) -> Iterator[FilesDone]:
        """Probabilities of the classes, batch by batch, with whatever cannot be read told and left out.

        While the network sees a batch, the files of the next are read.
        """
        batches = [paths[start : start + batch_size] for start in range(0, len(paths), _checked_batch(batch_size))]
        for some, squares in zip(batches, self.shower.show_batches(batches), strict=True):
            seen = list(zip(some, squares, strict=True))
            unreadable = [(path, str(square)) for path, square in seen if not isinstance(square, Tensor)]
            read = [path for path, square in seen if isinstance(square, Tensor)]
            probabilities = self._probabilities([square for square in squares if isinstance(square, Tensor)])
            yield FilesDone(read, Predictions(probabilities, self.class_names), unreadable)

    def _probabilities(self, squares: Sequence[Tensor]) -> npt.NDArray[np.float32]:
        if not squares:
            return np.empty((0, len(self.class_names)), dtype=np.float32)
        batch = torch.stack(list(squares)).to(self.device)
        logits = self.logits(Normalise(self.mean, self.std, self.device)(batch))
        probabilities: npt.NDArray[np.float32] = F.softmax(logits, dim=1).cpu().numpy()
        return probabilities

    def evaluate(
        self,
        data: ImageData,
        shifts: Mapping[str, Tensor] | None = None,
        *,
        batch_size: int = 64,
        workers: int = 0,
        on_batch: Callable[[int], None] | None = None,
    ) -> dict[str, Summary]:
        """The metrics on labelled images, in one pass.

        Args:
            data: with the run's classes.
            shifts: by name, what is added to the logits that the network has learnt, float (C,); without any it is the
                adjustment of the run, if it has one, under the name `plain`.
            batch_size: images at a time.
            workers: processes that read files.
            on_batch: is told how many images a batch had.

        Returns:
            The summary of each shift. Its loss is the recipe's where nothing is added, otherwise None.

        Raises:
            UserError: an image cannot be read, or those in memory have another size.
        """
        own = torch.zeros(len(self.class_names)) if self.adjustment is None else self.adjustment.shift
        moved = {"plain": own} if shifts is None else dict(shifts)
        counts = {name: ClassificationCounts(len(self.class_names), self.device) for name in moved}
        added = {name: shift.to(self.device) if shift.any() else None for name, shift in moved.items()}
        self.recipe.eval()
        for batch in self._loader(data, batch_size, workers).epoch(0):
            logits = self._learnt_logits(batch.images)
            with torch.no_grad():
                loss = self.recipe.evaluation_loss(logits / self.logit_scale, batch.labels) * len(batch.labels)
            for name, shift in added.items():
                counts[name].update(logits if shift is None else logits + shift, batch.labels, loss if shift is None else None)
            if on_batch is not None:
                on_batch(len(batch.labels))
        return {name: summarise(each, self.class_counts, self.thresholds) for name, each in counts.items()}

    def _loader(self, data: ImageData, batch_size: int, workers: int) -> Any:
        in_memory = isinstance(data.images, ArrayImages)
        if isinstance(data.images, ArrayImages) and data.images.array.shape[1:3] != (self.image_size, self.image_size):
            height, width = data.images.array.shape[1:3]
            raise UserError(
                f"the network sees {self.image_size} x {self.image_size} pixels, these images have {height} x {width}"
            )
        return create_loader(
            data,
            Sequential(len(data)),
            batch_size=batch_size,
            mean=self.mean,
            std=self.std,
            randomness=Randomness(0),
            augmentation=None if in_memory else Framed(self.shower.framing),
            device=self.device,
            workers=workers,
        )


def _checked_batch(batch_size: int) -> int:
    if batch_size < 1:
        raise ValueError(f"a batch has at least one image, got {batch_size=}")
    return batch_size


def load_run(path: str | Path, which: str = "best", *, reading: str | None = None, device: str = "auto") -> TrainedRun:
    """The network of a run of `longtail train`, with all that its method predicts with.

    Args:
        path: the run's folder.
        which: `best` (the epoch that the run has chosen) or `last`.
        reading: another way to predict with this network that the method offers, such as `flip` of LCSL or `tau=1` of CADEL.
        device: auto (CUDA where there is one), cpu, cuda or cuda:N.

    Raises:
        UserError: it is no such run, its method is not installed or has no such reading, or the checkpoint is not there or
            damaged.
        ValueError: `which` is neither.
    """
    if which not in WHICH:
        raise ValueError(f"a run has the checkpoints {' and '.join(WHICH)}, got {which!r}")
    folder = Path(path).expanduser()
    record = _record(folder)
    file = _checkpoint(folder, record, which)
    chosen = choose_device(device)
    identity = record["identity"]
    options = RuntimeOptions(
        device=device, precision=identity.get("precision", "float32"), channels_last=identity.get("channels_last", True)
    )
    stage, shown = _made_again(record, folder, options)
    recipe = stage.recipe
    content = {name: each for name, each in checkpoint.read(file).items() if name != "optimizer"}
    progress = checkpoint.restore(content, file, recipe, stage.optimiser)
    place(recipe, chosen, options)
    recipe.requires_grad_(False).eval()
    if reading is not None:
        _check_reading(reading, recipe, record)
    shots = {each.name: identity[f"shots_{each.name}"] for each in fields(ShotThresholds) if f"shots_{each.name}" in identity}
    return TrainedRun(
        folder=folder,
        record=record,
        which=which,
        epoch=progress.epoch,
        recipe=recipe,
        class_names=shown.train.class_names,
        class_counts=shown.class_counts,
        image_size=shown.image_size,
        mean=shown.mean,
        std=shown.std,
        shower=Shower(shown.image_size, in_files=record["input"]["in_files"], upright=record["input"]["upright"]),
        thresholds=ShotThresholds(**shots),
        options=options,
        device=chosen,
        reading=reading,
    )


def _check_reading(reading: str, recipe: Recipe, record: Mapping[str, Any]) -> None:
    method, known = record["model"]["method"], recipe.predictors()
    if reading in known:
        return
    if not known:
        raise UserError(f"{method} predicts in one way only; there is no reading {reading!r}")
    decided = (record.get("results") or {}).get("reading") or {}
    told = f"; the run has chosen {decided['name']}" if "name" in decided else ""
    raise UserError(f"{method} has no reading {reading!r}, but {', '.join(known)}{told}")


def _record(folder: Path) -> dict[str, Any]:
    """The run's `run.json`, if it tells how to make the network again."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; give the folder of the run, the one that holds {RUN_JSON}")
    if not (folder / RUN_JSON).is_file():
        there = sorted(each.parent for each in folder.glob(f"*/{RUN_JSON}")) if folder.is_dir() else []
        hint = f"; {there[0]} is one" if there else ", as `longtail train` writes it"
        raise UserError(f"{folder} is not the folder of a run: it has no {RUN_JSON}{hint}")
    record: dict[str, Any] = read_json(folder / RUN_JSON)
    if not isinstance(record, dict) or not {"model", "input", "class_counts", "identity"} <= record.keys():
        command = str(record.get("command", "")) if isinstance(record, dict) else ""
        if command.startswith("longtail "):
            raise UserError(
                f"{folder} is a run of an older version: its {RUN_JSON} does not tell class names and image size.\n"
                f"Train it again: {command}"
            )
        raise UserError(
            f"{folder} is not a run of `longtail train`, but of: {command or 'something unknown'}\n"
            "The scripts of the papers test their own checkpoints; what they train, `longtail train METHOD` trains too."
        )
    return record


def _checkpoint(folder: Path, record: Mapping[str, Any], which: str) -> Path:
    names = CheckpointNames()
    files = {"best": folder / names.best, "last": folder / names.last}
    file, (other,) = files[which], [each for name, each in files.items() if name != which]
    if file.is_file():
        return file
    if other.is_file():
        there = "last" if which == "best" else "best"
        raise UserError(f"{folder} has no {which} checkpoint {file.name} yet, but {other.name}, which --which {there} takes")
    state = "" if record.get("finished") else "; its training was stopped before the end of an epoch"
    raise UserError(f"{folder} has no checkpoint {file.name}{state}")


def _made_again(record: Mapping[str, Any], folder: Path, runtime: RuntimeOptions) -> tuple[Stage, LongTailData]:
    """The method's stage, untrained and on the CPU, and the data that it is made for, whose images are none."""
    model = record["model"]
    method = load_method(model["method"])
    try:
        options = method.options(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in model["options"].items()}
        )
        data = _data(record)
    except UserError:
        raise
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{folder / RUN_JSON} was written by another version of {model['method']}, or changed: {error}"
        ) from error
    setting = Setting(torch.device("cpu"), Ranks(), Randomness(0), runtime)
    stage = method.build(
        data,
        lambda head: create_backbone(
            model["backbone"], num_classes=data.num_classes, head=head, seed=0, image_size=data.image_size
        ),
        options,
        setting,
    )
    return stage, data


def _data(record: Mapping[str, Any]) -> LongTailData:
    """A data set with the run's classes and class counts, whose images nobody is going to look at."""
    about = record["input"]
    names, size = tuple(about["class_names"]), int(about["image_size"])
    labels = np.repeat(np.arange(len(names), dtype=np.int64), np.asarray(record["class_counts"], dtype=np.int64))

    def part(of: Indices) -> ImageData:
        images: Images = ArrayImages(np.zeros((len(of), size, size, 3), dtype=np.uint8))
        if about["in_files"]:
            images = FileImages(Path(), ("",) * len(of), upright=about["upright"])
        return ImageData(images, of, names)

    train, one = part(labels), part(np.zeros(1, dtype=np.int64))
    # a meta set of its own, so that no method takes one out of classes that may have been too small for it
    mean, std = (_three(about[each]) for each in ("mean", "std"))
    return LongTailData("placeholder", train, None, one, size, mean, std, meta=one)


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
