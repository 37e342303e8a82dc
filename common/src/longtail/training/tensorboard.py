"""TensorBoard event files, with the tags that the LDAM family's scripts write."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from longtail.errors import UserError
from longtail.training.reports import EpochReport, Listener

CLASSES = 1000
"""A curve for each class is drawn up to so many classes; nobody looks at more, and they would make hundreds of megabytes."""


class TensorBoardLog(Listener):
    """Scalars by epoch: loss, accuracy, learning rate, accuracy of each class.

    Args:
        folder: where the event files go.

    Raises:
        UserError: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            importlib.import_module("tensorboard")  # torch's own message does not name the extra
        except ImportError as error:
            raise UserError(
                "TensorBoard logs need the tensorboard package: pip install 'longtail-common[tensorboard]'"
            ) from error
        self._folder = folder
        self._writer: Any = None

    def run_started(self, epoch: int, epochs: int) -> None:
        """Open the event file, past whatever an interrupted run had written from this epoch on."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=epoch)

    def epoch_ended(self, report: EpochReport) -> None:
        """Write the epoch's scalars."""
        scalars = {
            "loss/train": report.train.loss.mean,
            "acc/train_top1": 100 * report.train.top1.mean,
            "acc/train_top5": 100 * report.train.top5.mean,
            "lr": report.learning_rate,
        }
        if report.shown is not None:
            _, summary = report.shown
            scalars |= {
                "loss/test_val": summary.nll if summary.loss is None else summary.loss,
                "acc/test_val_top1": 100 * summary.accuracy,
                "acc/test_val_top5": 100 * summary.top5,
                "acc/test_top1_best": 100 * (report.best or 0.0),
            }
            by_class = summary.per_class_accuracy
            if len(by_class) <= CLASSES:
                shown = ((index, accuracy) for index, accuracy in enumerate(by_class) if accuracy is not None)
                scalars |= {f"acc/test_val_cls_acc/{index}": accuracy for index, accuracy in shown}
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, report.clock.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
