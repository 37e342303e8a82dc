"""What a trained network makes of labelled images, as far as a report needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from longtail.datasets.base import ArrayImages, FileImages, ImageData, Indices
from longtail.datasets.findings import counted
from longtail.errors import UserError
from longtail.metrics import ClassificationCounts
from longtail.training.trained import TrainedRun

CONFUSION_LIMIT = 100
"""More classes than this make no confusion matrix that can be read."""


@dataclass(frozen=True)
class Predicted:
    """The most probable class of each of N images.

    Args:
        data: the images that could be read, with their labels.
        source: what the data are called.
        epoch: epochs that the network was trained for.
        labels: int64, shape (N,).
        confidence: probability of that class, float32, shape (N,).
        counts: of calibration and, up to `CONFUSION_LIMIT` classes, of confusions.
        unreadable: how many more images there were that cannot be read.
    """

    data: ImageData
    source: str
    epoch: int
    labels: Indices
    confidence: npt.NDArray[np.float32]
    counts: ClassificationCounts
    unreadable: int = 0

    def confusion(self) -> Indices | None:
        """Images by true and predicted class, int64, shape (C, C); None of too many classes."""
        if self.counts.confusion is None:
            return None
        matrix: Indices = self.counts.confusion.numpy()
        return matrix

    def calibration_error(self) -> float:
        """The expected calibration error, as in `Summary`."""
        gap = (self.counts.bin_correct - self.counts.bin_confidence).abs().sum()
        return float(gap / len(self.labels))

    def accuracy(self) -> float:
        """Share of the images that are predicted right."""
        return float((self.labels == self.data.labels).mean())

    def told(self) -> str:
        """What was predicted on, in a line."""
        text = f"{counted(len(self.labels), 'image')} of {self.source}, network of epoch {self.epoch}"
        return text + (f"; {counted(self.unreadable, 'image')} cannot be read" if self.unreadable else "")


def predict_on(
    trained: TrainedRun,
    data: ImageData,
    source: str,
    *,
    batch_size: int = 64,
    on_batch: Callable[[int], None] | None = None,
) -> Predicted:
    """Show labelled images to a network.

    Args:
        trained: the run.
        data: with the run's classes.
        source: what the data are called.
        batch_size: images at a time.
        on_batch: is told how many images were seen since it was called last.

    Raises:
        UserError: no image can be read, or those in memory have another size.
    """
    counts = ClassificationCounts(len(trained.class_names), confusion_limit=CONFUSION_LIMIT)
    read, labels, confidence = [], [], []
    for places, probabilities in _batches(trained, data, batch_size, on_batch):
        # logarithms of probabilities are logits of the same softmax
        shown = torch.from_numpy(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))
        counts.update(shown, torch.from_numpy(data.labels[places]))
        read.append(places)
        labels.append(probabilities.argmax(axis=1).astype(np.int64))
        confidence.append(probabilities.max(axis=1, initial=0.0))
    places = np.concatenate(read) if read else np.empty(0, dtype=np.int64)
    if not len(places):
        raise UserError(f"none of the images of {source} can be read")
    unreadable = len(data) - len(places)
    return Predicted(
        data.subset(places), source, trained.epoch, np.concatenate(labels), np.concatenate(confidence), counts, unreadable
    )


def _batches(
    trained: TrainedRun, data: ImageData, batch_size: int, on_batch: Callable[[int], None] | None
) -> Iterator[tuple[Indices, npt.NDArray[np.float32]]]:
    """Places of images that could be read, and the probabilities of each, shape (B, C)."""
    for start in range(0, len(data), batch_size):
        places = np.arange(start, min(start + batch_size, len(data)))
        images = data.images.take(places)
        if isinstance(images, FileImages):
            files = [Path(images.root, each) for each in images.files]
            (done,) = trained.predict_files(files, batch_size=batch_size)
            row = {path: at for at, path in enumerate(done.read)}
            kept = [at for at, path in enumerate(files) if path in row]
            yield places[kept], done.predictions.probabilities[[row[files[at]] for at in kept]]
        elif isinstance(images, ArrayImages):
            yield places, trained.predict(images.array, batch_size=batch_size).probabilities
        if on_batch is not None:
            on_batch(len(places))
