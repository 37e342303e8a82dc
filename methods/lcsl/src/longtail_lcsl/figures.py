"""The paper's figures: accuracy by epoch, and by class without and with tau-normalisation."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.errors import UserError

if TYPE_CHECKING:
    from longtail.datasets.base import ImageData


@dataclass(frozen=True)
class Figures:
    """Where the figures go and what they show.

    Args:
        folder: of the run.
        name: of the run.
        title: of the data set.
        train: the training set, for names and sizes of its classes.
        by_class: whether accuracy by class is drawn too.
    """

    folder: Path
    name: str
    title: str
    train: ImageData
    by_class: bool

    def draw(
        self, records: Mapping[str, Sequence[float | None]], plain: Mapping[str, Any] | None, tau: Mapping[str, Any]
    ) -> None:
        """Draw all of them; a figure that cannot be drawn is no reason to lose a run.

        Args:
            records: `acc_train` and `acc_test` by epoch.
            plain, tau: the test summaries of the best epoch's network with its own classifier and with the tau-normalised one.
        """
        try:
            self._draw(records, plain, tau)
        except UserError as error:
            print(f"notice: no figures: {error}", file=sys.stderr)

    def _draw(
        self, records: Mapping[str, Sequence[float | None]], plain: Mapping[str, Any] | None, tau: Mapping[str, Any]
    ) -> None:
        from longtail.report.class_bars import class_bars_plot
        from longtail.report.history import History, history_plot
        from longtail.report.plots import PerClass

        history_plot(
            self.folder / f"train_test_curve_{self.name}.png",
            [History("training", records["acc_train"]), History("test", records["acc_test"])],
            title=f"LCSL on {self.title}",
            quantity="mean accuracy of the classes",
        )
        if not self.by_class or plain is None:
            return
        own = PerClass("trained classifier", plain["per_class_accuracy"])
        normalised = PerClass("tau-normalised classifier", tau["per_class_accuracy"])
        for suffix, series in (("", [own]), ("_l2", [own, normalised])):
            class_bars_plot(
                self.folder / f"visual_{self.name}{suffix}.png",
                self.train.class_names,
                self.train.class_counts,
                series,
                title=f"LCSL on {self.title}, best epoch",
            )
