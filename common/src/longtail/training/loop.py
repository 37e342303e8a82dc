"""The one training loop. It knows how a run goes on, never which paper it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from longtail.distributed import Ranks, accept_empty_slices, is_active, on_first, share_buffers
from longtail.metrics import Summary
from longtail.randomness import Randomness
from longtail.training import checkpoint
from longtail.training.checkpoint import Progress
from longtail.training.devices import autocast, in_memory_format
from longtail.training.guard import FiniteGuard
from longtail.training.interruption import StopRequest, stop_at_batch_boundary
from longtail.training.judging import Judges, Judging
from longtail.training.recipe import Clock, Recipe
from longtail.training.reports import EpochReport, Listener, Meters
from longtail.training.run_folder import Run
from longtail.training.runtime import RuntimeOptions
from longtail.training.stage import Stage

Restore = Callable[[Recipe, torch.optim.Optimizer], Progress]
"""Puts a recipe and its optimiser into the state that some files hold, and tells how far their run had come."""


def fit(
    stage: Stage,
    judges: Judges,
    run: Run,
    options: RuntimeOptions,
    *,
    device: torch.device,
    ranks: Ranks,
    randomness: Randomness,
    listeners: Sequence[Listener] = (),
    log_interval: int = 50,
    resume: Path | Restore | None = None,
    start_epoch: int = 0,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a stage, evaluate it, and keep its checkpoints.

    Args:
        stage: what to train.
        judges: what to evaluate on.
        run: where to write.
        options: how to run.
        device, ranks, randomness: of this process and run.
        listeners: told about progress, on rank 0.
        log_interval: batches between reports to the listeners.
        resume: a checkpoint to continue from, or what continues this run from other files; None starts anew, or continues the
            run's own checkpoint with `--resume-auto`.
        start_epoch: 0-based epoch to start with, where nothing is resumed.
        details: what else `run.json` tells.

    Returns:
        The results as plain data: the selection rule, the best score by it, test summaries of the best and the last epoch, and
        those of the best epoch's network with each of the recipe's final predictors under `final`, and with the best of its
        readings under `reading`, where it has any.

    Raises:
        UserError: the checkpoint does not fit, the loss stopped being finite, or the run's folder cannot be written.
    """
    progress, resumed, own = _starting_point(stage, run, options, resume, start_epoch)
    trainer = _Trainer(stage, judges, run, options, device, ranks, randomness, listeners, log_interval, progress)
    on_first(lambda: trainer.open_run({**(details or {}), "resumed_from": resumed}, keep_logs=own))
    return trainer.train()


def _starting_point(
    stage: Stage, run: Run, options: RuntimeOptions, resume: Path | Restore | None, start_epoch: int
) -> tuple[Progress, str | None, bool]:
    """How far the run has come, what it continues from, and whether that is this run's own."""
    if resume is None and options.resume_auto and on_first(run.can_continue):
        resume = run.last_checkpoint
    if resume is None:
        return Progress(epoch=start_epoch), None, False
    if not isinstance(resume, Path):
        return resume(stage.recipe, stage.optimiser), str(run.checkpoint_dir), True
    progress = checkpoint.restore(checkpoint.read(resume), resume, stage.recipe, stage.optimiser)
    return progress, str(resume), run.owns(resume)


@dataclass
class _Trainer:
    stage: Stage
    judges: Judges
    run: Run
    options: RuntimeOptions
    device: torch.device
    ranks: Ranks
    randomness: Randomness
    listeners: Sequence[Listener]
    log_interval: int
    progress: Progress

    def __post_init__(self) -> None:
        self.listeners = self.listeners if self.ranks.is_first else ()
        self.model: nn.Module = self.stage.recipe
        if is_active():
            for network in self.stage.recipe.networks():
                accept_empty_slices(network)
            self.model = DistributedDataParallel(
                self.stage.recipe,
                device_ids=[self.device] if self.device.type == "cuda" else None,
                find_unused_parameters=self.stage.recipe.idle_parameters,
            )
        if self.options.compile:
            for network in self.stage.recipe.networks():
                network.compile()
        self.steps = min(self.stage.train.steps, self.options.max_steps or self.stage.train.steps)
        self.epochs = min(self.stage.epochs, self.options.max_epochs or self.stage.epochs)
        for group in self.stage.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.judging = Judging(self.recipe, self.judges, self.options, self.device, self.log_interval, self.listeners)

    @property
    def recipe(self) -> Recipe:
        return self.stage.recipe

    def open_run(self, details: dict[str, Any], *, keep_logs: bool) -> None:
        moved = self.run.begin(keep_logs=self.progress.log_sizes if keep_logs else None, details=details)
        for folder in moved:
            print(f"notice: an earlier run was moved to {folder}")

    def train(self) -> dict[str, Any]:
        try:
            with stop_at_batch_boundary() as stopping:
                for listener in self.listeners:
                    listener.run_started(self.progress.epoch, self.epochs)
                for epoch in range(self.progress.epoch, self.epochs):
                    self._train_epoch(epoch, stopping)
            results = self.judging.results(self.progress, self.run.best_checkpoint, self.stage.metric)
            on_first(lambda: self._finish(results))
            return results
        finally:
            # a traceback would keep the wrapper, and with it the process group and its threads, to the end of the program
            self.model = self.recipe
            for listener in self.listeners:
                listener.close()

    def _clock(self, epoch: int, step: int) -> Clock:
        return Clock(epoch, self.stage.epochs, step, self.steps, self.randomness)

    def _train_epoch(self, epoch: int, stopping: StopRequest) -> None:
        started, first = time.perf_counter(), self.progress.step
        recipe, optimiser = self.recipe, self.stage.optimiser
        recipe.begin_epoch(self._clock(epoch, first))
        recipe.train()
        rate = self._set_learning_rate(epoch, first)
        meters = Meters(
            self.device,
            parts=recipe.part_names,
            classes=self.judges.train.num_classes,
            sums=self.progress.meters if self.ranks.is_first else None,
        )
        for listener in self.listeners:
            listener.epoch_started(self._clock(epoch, first), rate)
        guard = FiniteGuard(optimiser, self.device)
        optimiser.zero_grad(set_to_none=True)

        for step, batch in enumerate(islice(self.stage.train.epoch(epoch, first), self.steps - first), first):
            meters.data_ready()
            clock = self._clock(epoch, step)
            self._seed_torch(epoch, step)
            rate = self._set_learning_rate(epoch, step)
            with autocast(self.device, self.options.precision):
                output = self.model(in_memory_format(batch, self.options), clock)
            window = self._window(step)
            self._backward(output.loss / window.size, sync=window.closes)
            guard.watch(output.loss)
            if window.closes:
                self._clip()
                guard.step()
                optimiser.zero_grad(set_to_none=True)
            meters.add(output.loss, output.logits, output.labels, output.parts)
            meters.batch_done()
            if step % self.log_interval == 0:
                guard.check(clock)
                for listener in self.listeners:
                    listener.train_batch(meters.report(step, self.steps), clock, rate)
            if window.closes and step + 1 < self.steps:
                self._pause(epoch, step + 1, meters, guard, stopping)
        guard.check(self._clock(epoch, self.steps - 1))
        self._end_epoch(epoch, meters, rate, time.perf_counter() - started)
        if stopping.at(0):
            self._leave()

    def _seed_torch(self, epoch: int, step: int) -> None:
        """Dropout and its kind draw from torch's own generators. `torch.manual_seed` would take milliseconds on some builds."""
        seed = self.randomness.integer("step", epoch, step, self.ranks.rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _set_learning_rate(self, epoch: int, step: int) -> float:
        """Give every group of parameters its rate at this batch; the largest of them."""
        factor = self.stage.rate_factor(epoch, step)
        for group in self.stage.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        return max(float(group["lr"]) for group in self.stage.optimiser.param_groups)

    def _window(self, step: int) -> _Window:
        """The batches whose gradients are added up with this one's; the epoch's last window may be shorter."""
        width = self.options.accumulate
        start = step - step % width
        size = min(width, self.steps - start)
        return _Window(size, step == start + size - 1)

    def _backward(self, loss: Tensor, *, sync: bool) -> None:
        if isinstance(self.model, DistributedDataParallel) and not sync:
            with self.model.no_sync():
                loss.backward()  # type: ignore[no-untyped-call]
        else:
            loss.backward()  # type: ignore[no-untyped-call]

    def _clip(self) -> None:
        if self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.recipe.parameters(), self.options.clip_norm)

    def _pause(self, epoch: int, step: int, meters: Meters, guard: FiniteGuard, stopping: StopRequest) -> None:
        """Between two batches: save where that was asked for, and leave where Ctrl-C or a scheduler asked for that."""
        every = self.options.checkpoint_every
        stop = stopping.at(step)
        if stop or (every and step % every == 0):
            guard.check(self._clock(epoch, step))
            self.progress = replace(self.progress, epoch=epoch, step=step, meters=meters.over_ranks())
            self._save(self.run.last_checkpoint)
            if stop:
                self._leave()

    def _leave(self) -> None:
        if self.ranks.is_first:
            print(f"stopped; {self.run.last_checkpoint} holds the state to continue from (--resume-auto)", file=sys.stderr)
        raise KeyboardInterrupt

    def _end_epoch(self, epoch: int, meters: Meters, rate: float, seconds: float) -> None:
        clock = self._clock(epoch, self.steps)
        due = (epoch + 1) % self.options.eval_every == 0 or epoch + 1 == self.epochs
        judged = self._judge(clock) if due else _Judged()
        self.progress = replace(self.progress, epoch=epoch + 1, step=0, meters=None)
        meters.sums = meters.over_ranks()
        report = EpochReport(
            clock,
            rate,
            train=meters.report(self.steps - 1, self.steps),
            seconds=seconds,
            result=judged.test,
            validation=judged.validation,
            is_best=judged.is_best,
            best=self.progress.best,
            best_epoch=self.progress.best_epoch,
            test_seconds=judged.test_seconds,
        )
        for listener in self.listeners:
            listener.evaluated(report)
        if self.ranks.is_first:
            self._record(report)
        numbered = self.run.numbered_checkpoint(epoch + 1)
        self._save(self.run.last_checkpoint, *filter(None, [numbered, self.run.best_checkpoint if judged.is_best else None]))
        for listener in self.listeners:
            listener.epoch_ended(report)

    def _judge(self, clock: Clock) -> _Judged:
        """Evaluate the network as it is now, and note whether it is the best so far."""
        share_buffers(self.recipe)
        judges = self.judges
        test, seconds = None, 0.0
        validation = None if judges.val is None else self.judging.evaluate(judges.val, quiet=not judges.test_at_end)
        if not judges.test_at_end:
            started = time.perf_counter()
            test = self.judging.evaluate(judges.test)
            seconds = time.perf_counter() - started
        deciding = validation or test
        assert deciding is not None
        is_best = self._select(clock.epoch, test, deciding)
        self.recipe.evaluated(deciding, clock, is_best=is_best)
        return _Judged(test, validation, is_best, seconds)

    def _select(self, epoch: int, result: Summary | None, judged: Summary) -> bool:
        """Note this evaluation; True where it is the best so far (strictly) by the run's selection rule."""
        score = float(getattr(judged, self.stage.metric))
        is_best = self.options.select == "last" or self.progress.best is None or score > self.progress.best
        last = None if result is None else {"epoch": epoch, **result.to_dict()}
        self.progress = replace(self.progress, last_result=last)
        if is_best:
            self.progress = replace(self.progress, best=score, best_epoch=epoch, best_result=last)
        return is_best

    def _record(self, report: EpochReport) -> None:
        self.run.record_metrics(
            {
                "epoch": report.clock.epoch,
                "learning_rate": report.learning_rate,
                "train_loss": report.train.loss.mean,
                "train_top1": report.train.top1.mean,
                "train_balanced_accuracy": report.train.balanced,
                **{f"train_{name}": part.mean for name, part in report.train.parts.items()},
                "train_seconds": report.seconds,
                "test": report.result and report.result.to_dict(),
                "val": report.validation and report.validation.to_dict(),
                "is_best": report.is_best,
            }
        )

    def _save(self, last: Path, *kept: Path) -> None:
        """Write the checkpoint to go on from, and before it the files that the epoch leaves for good."""
        if self.ranks.is_first:
            self.progress = replace(self.progress, log_sizes=self.run.log_sizes())
        on_first(lambda: self._write(last, *kept))

    def _write(self, last: Path, *kept: Path) -> None:
        content = checkpoint.pack(self.recipe, self.stage.optimiser, self.progress, self.run.identity)
        if self.run.names.content is None:
            checkpoint.save(content, *kept, last)
        else:
            checkpoint.save(self.run.names.content(content), *kept)
            checkpoint.save(content, last)
        superseded = self.run.numbered_checkpoint(self.progress.epoch - self.run.names.every)
        if kept and superseded is not None and self.run.names.only_latest:
            superseded.unlink(missing_ok=True)

    def _finish(self, results: dict[str, Any]) -> None:
        self.run.finish(results)
        best, last = (results[key] or {} for key in ("best", "last"))
        train = self.judges.train
        accuracies = [each.get("per_class_accuracy") or [None] * train.num_classes for each in (best, last)]
        rows = zip(range(train.num_classes), train.class_names, train.class_counts.tolist(), *accuracies, strict=True)
        self.run.write_per_class(("class", "name", "train_images", "accuracy_best", "accuracy_last"), list(rows))
        for listener in self.listeners:
            listener.run_finished(results)


@dataclass(frozen=True)
class _Window:
    size: int
    closes: bool


@dataclass(frozen=True)
class _Judged:
    test: Summary | None = None
    validation: Summary | None = None
    is_best: bool = False
    test_seconds: float = 0.0
