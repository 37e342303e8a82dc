"""What a run is judged on: its epochs, and when it is over the network that it has chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from longtail.datasets.base import ImageData, Indices
from longtail.distributed import on_first
from longtail.loading.base import Loader
from longtail.metrics import ShotThresholds, Summary
from longtail.training import checkpoint
from longtail.training.checkpoint import Progress
from longtail.training.evaluation import STANDARD_THRESHOLDS, choose_reading, evaluate, evaluate_readings
from longtail.training.recipe import Predict, Reading, Recipe
from longtail.training.reports import BatchReport, Listener
from longtail.training.runtime import RuntimeOptions


@dataclass(frozen=True)
class Judges:
    """What a run is judged on.

    Args:
        train: the training set, for its class counts and names.
        test: loader of the test set.
        val: loader of held-out training images, or None.
        thresholds: bounds of the shot groups.
        test_at_end: evaluate on the test set when training is over and not before, so that nothing can be chosen on it.
        counts: int64, shape (C,), what the shot groups go by, if not the class counts of `train`.

    Raises:
        ValueError: the test set comes at the end and nothing else is there to be evaluated on.
    """

    train: ImageData
    test: Loader
    val: Loader | None = None
    thresholds: ShotThresholds = STANDARD_THRESHOLDS
    test_at_end: bool = False
    counts: Indices | None = None

    def __post_init__(self) -> None:
        if self.test_at_end and self.val is None:
            raise ValueError("without a validation set, epochs are evaluated on the test set")

    @property
    def class_counts(self) -> Indices:
        """Training images per class, int64 (C,)."""
        return self.train.class_counts if self.counts is None else self.counts


@dataclass(frozen=True)
class Judging:
    """How one run evaluates its recipe.

    Args:
        recipe: on its device.
        judges: what it is evaluated on.
        options, device: of the run.
        log_interval: batches between reports to the listeners.
        listeners: are told the running numbers.
    """

    recipe: Recipe
    judges: Judges
    options: RuntimeOptions
    device: torch.device
    log_interval: int
    listeners: Sequence[Listener]

    def evaluate(self, loader: Loader, *, quiet: bool = False, predict: Predict | None = None) -> Summary:
        """Evaluate on one of the sets; `quiet` tells nobody on the way, and `predict` is as for `evaluation.evaluate`."""

        def tell(report: BatchReport) -> None:
            for listener in self.listeners:
                listener.evaluation_batch(report)

        return evaluate(
            self.recipe,
            loader,
            self.judges.class_counts,
            options=self.options,
            device=self.device,
            thresholds=self.judges.thresholds,
            log_interval=self.log_interval,
            on_batch=None if quiet else tell,
            predict=predict,
        )

    def results(self, progress: Progress, best: Path, metric: str) -> dict[str, Any]:
        """What the run has come to, as `fit` returns it; some of it is evaluated now, when nothing is trained any more.

        Args:
            progress: at the run's end.
            best: checkpoint of the epoch that was chosen.
            metric: the field of `Summary` that has chosen it.
        """
        known, last = progress.best_result, progress.last_result
        predictors = self.recipe.final_predictors()
        if self.judges.test_at_end and progress.best_epoch is not None:
            last = {"epoch": progress.epoch - 1, **self.evaluate(self.judges.test).to_dict()}
            known = last if progress.best_epoch == last["epoch"] else None
        if known is None and progress.best_epoch is not None:
            # best weights that another program left, or that only now may meet the test set
            known = self._tested({"predict": self.recipe.predict}, progress, best)["predict"]
        results = {
            "select": self.options.select,
            "metric": metric,
            "best_score": progress.best,
            "best": known,
            "last": last,
        }
        if predictors:
            results["final"] = self._tested(predictors, progress, best)
        if self.recipe.readings():
            results["reading"] = self._read(progress, best, metric)
        return results

    def _tested(self, predictors: Mapping[str, Predict], progress: Progress, best: Path) -> dict[str, Any]:
        """The test summaries of the best epoch's network, by what predicts with it."""
        with self._weights_of(best):
            judged = {name: self.evaluate(self.judges.test, predict=each) for name, each in predictors.items()}
        return {name: {"epoch": progress.best_epoch, **summary.to_dict()} for name, summary in judged.items()}

    def _read(self, progress: Progress, best: Path, metric: str) -> dict[str, Any]:
        """The test summary of the best epoch's network, read in the way that is best on the validation set, if there is one."""
        judges = self.judges
        with self._weights_of(best):
            found = choose_reading(self._evaluate_readings, self.recipe.readings(), judges.val, judges.test, metric)
        return {
            "epoch": progress.best_epoch,
            "name": found.name,
            "chosen_on": "test" if judges.val is None else "val",
            "tried": found.scores,
            **found.test.to_dict(),
        }

    def _evaluate_readings(self, loader: Loader, readings: Mapping[str, Reading]) -> dict[str, Summary]:
        return evaluate_readings(
            self.recipe,
            loader,
            self.judges.class_counts,
            readings,
            options=self.options,
            device=self.device,
            thresholds=self.judges.thresholds,
        )

    @contextmanager
    def _weights_of(self, best: Path) -> Iterator[None]:
        """A checkpoint's weights in the network, for as long as this lasts."""
        backbone = self.recipe.backbone
        trained = {name: value.clone() for name, value in backbone.state_dict().items()}
        checkpoint.restore_network(on_first(lambda: checkpoint.read(best)), best, self.recipe)
        try:
            yield
        finally:
            backbone.load_state_dict(trained)
