"""The scripts of stage two, and `--test`: judge trained networks, with the prior corrected as validation finds it best."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longtail.training.runtime import RuntimeOptions, own_flags
from longtail_cadel.experiments import Script
from longtail_cadel.training import batch_of, console, load

if TYPE_CHECKING:
    from longtail.datasets.base import ImageData, LongTailData
    from longtail.loading.base import Loader
    from longtail.metrics import Summary
    from longtail.training.method import Setting
    from longtail.training.recipe import Reading
    from longtail_cadel.config import Config
    from longtail_cadel.prior import Searched
    from longtail_cadel.recipe import CADEL

__all__ = ["console", "evaluate"]


def evaluate(script: Script, config: Config, args: argparse.Namespace, runtime: RuntimeOptions) -> dict[str, Any]:
    """Find the best correction on the validation list, judge it on the test list, and return what came out.

    A script of stage one (`--test`) corrects as its training does and searches for nothing.
    """
    from longtail import distributed
    from longtail.training.devices import place
    from longtail.training.execute import prepare
    from longtail_cadel.building import create_network, create_recipe, find_model, layout_of, load_model

    path = find_model(config.model_dir or config.training_opt.log_dir)
    data = load(config, args, runtime, only_tested=True)
    network = create_network(config, args.seed)
    load_model(network, path, layout_of(config))
    setting = prepare(runtime, gpu=args.gpu, workers=config.training_opt.num_workers)
    recipe = create_recipe(network, config, data)
    place(recipe, setting.device, runtime)
    judge = _Judge(config, data, recipe, setting, batch_of(config, setting.ranks.world_size))
    log_dir = Path(config.training_opt.log_dir)
    lines = Lines(log_dir, config, args, trains=script.trains, speaks=setting.ranks.is_first)
    lines.begin(path)
    found = _search(judge, lines, args.taus) if not script.trains else _as_trained(judge, lines)
    distributed.stop()
    lines.finish(data, found, path)
    return found


class _Judge:
    """Evaluates readings of a network's heads on the lists."""

    def __init__(self, config: Config, data: LongTailData, recipe: CADEL, setting: Setting, batch_size: int) -> None:
        self.config, self.data, self.recipe, self.setting, self.batch_size = config, data, recipe, setting, batch_size

    def __call__(self, part: ImageData, reading: Reading) -> Summary:
        from longtail.training.evaluation import evaluate_readings

        return evaluate_readings(
            self.recipe,
            self._shown(part),
            self.data.class_counts,
            {"": reading},
            options=self.setting.runtime,
            device=self.setting.device,
        )[""]

    def search(self, part: ImageData, taus: tuple[float, ...]) -> Searched:
        """The best of several corrections on a part of the data."""
        from longtail_cadel.prior import tau_search

        return tau_search(
            self.recipe,
            self.recipe.reading,
            taus,
            self._shown(part),
            self.data.class_counts,
            options=self.setting.runtime,
            device=self.setting.device,
        )

    def _shown(self, part: ImageData) -> Loader:
        from longtail_cadel.building import shown
        from longtail_cadel.watching import watched

        loader = shown(self.config, self.data, part, self.setting, self.batch_size)
        phase = "test" if part is self.data.test else "val"
        return watched(loader, phase, self.setting, every=self.config.training_opt.display_step)


def _search(judge: _Judge, lines: Lines, taus: tuple[float, ...]) -> dict[str, Any]:
    """All corrections in one pass over the validation list, then the best one on the test list."""
    data, reading = judge.data, judge.recipe.reading
    deciding, is_test = (data.test, True) if data.val is None else (data.val, False)
    if is_test:
        lines.say("the correction is chosen on the very images whose accuracy is reported: there are no others to choose on")
    tau, score, summaries = judge.search(deciding, taus)
    for tried, summary in summaries.items():
        lines.say(f"tao= {tried:g}")
        lines.evaluation("val", summary)
    lines.say(f"bset_tao= {tau:g}   best_acc= {score:g}")
    tested = summaries[tau] if is_test else judge(data.test, reading(tau))
    lines.evaluation("test", tested)
    scores = {f"{tried:g}": summary.accuracy for tried, summary in summaries.items()}
    return {"tau": tau, "chosen_on": "test" if is_test else "val", "tried": scores, "test": tested}


def _as_trained(judge: _Judge, lines: Lines) -> dict[str, Any]:
    """The validation list and the test list, read as in training."""
    data, reading = judge.data, judge.recipe.reading(judge.recipe.settings.tau)
    if data.val is not None:
        lines.evaluation("val", judge(data.val, reading))
    tested = judge(data.test, reading)
    lines.evaluation("test", tested)
    return {"tau": judge.recipe.settings.tau, "chosen_on": None, "tried": {}, "test": tested}


class Lines:
    """What an evaluation prints and leaves in a folder of its own.

    Args:
        log_dir: of the configuration.
        config: it is dumped to `cfg.yaml`.
        args: the command line.
        trains: whether `log_dir` is that of a training run.
        speaks: whether this is the rank that prints and writes.
    """

    def __init__(self, log_dir: Path, config: Config, args: argparse.Namespace, *, trains: bool, speaks: bool) -> None:
        self._folder, self._config, self._args, self._trains, self._speaks = log_dir, config, args, trains, speaks
        self._text: list[str] = []

    def begin(self, path: Path) -> None:
        """Say which networks these are."""
        self.say(f"networks of {path}")

    def say(self, text: str) -> None:
        """Print, and keep for the log."""
        if self._speaks:
            print(text, flush=True)
            self._text.append(text)

    def evaluation(self, phase: str, summary: Summary) -> None:
        """Print the block about an evaluation."""
        from longtail_cadel.logs import evaluation_lines

        self.say(evaluation_lines(phase, summary))

    def _folder_beside(self, path: Path) -> Path:
        """Where the evaluation goes: `log_dir`, unless the trained networks lie there, which stay where they are."""
        is_theirs = self._trains or self._folder.resolve() in path.resolve().parents
        return self._folder / "evaluation" if is_theirs else self._folder

    def finish(self, data: LongTailData, found: dict[str, Any], path: Path) -> None:
        """Write `log.txt`, `cfg.yaml`, `cls_accs.pkl`, and what every evaluation of the core leaves."""
        if not self._speaks:
            return
        from longtail.report.text import summary_text
        from longtail.training.assess import record
        from longtail.training.files import write_atomically
        from longtail.training.run_folder import Run
        from longtail_cadel.config import dump
        from longtail_cadel.logs import CONFIG, LOG, write_class_accuracies

        folder = self._folder_beside(path)
        summary = found["test"]
        print(summary_text(summary, data.train.class_names))
        content = {"tau": found["tau"], "chosen_on": found["chosen_on"], "tried": found["tried"]}
        for moved in record(Run(folder, folder, identity={**own_flags(self._args), **content}), data, summary, path, {}):
            print(f"notice: an earlier evaluation was moved to {moved}")
        write_atomically(folder / LOG, ("\n".join(self._text) + "\n").encode())
        write_atomically(folder / CONFIG, dump(self._config, local_rank=self._args.local_rank).encode())
        write_class_accuracies(folder, summary.per_class_accuracy)
        print(f"every class: {folder / 'per_class.csv'}")
