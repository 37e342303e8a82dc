"""The training loop: exact continuation, selection, and that nothing bad reaches the weights."""

import json
import os
import signal

import pytest
import torch
from toys import COUNTS, ToyRun

from longtail.errors import UserError
from longtail.training.reports import Listener


def same(first, second):
    """Whether two nested values are equal to the bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def logged(folder):
    """The run's metric lines without their wall times."""
    lines = [json.loads(line) for line in (folder / "log" / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "train_seconds"} for line in lines]


def without_sizes(checkpoint):
    checkpoint["longtail"]["progress"].pop("log_sizes")
    return checkpoint


def test_same_run_gives_the_same_bits(tmp_path):
    runs = [ToyRun(tmp_path / name) for name in ("first", "second")]
    for run in runs:
        run.train()
        torch.rand(3)  # whatever the caller does with the global generator changes nothing
    assert same(*(without_sizes(run.weights()) for run in runs))
    assert logged(tmp_path / "first") == logged(tmp_path / "second")


def test_training_changes_the_weights_and_learns(tmp_path):
    run = ToyRun(tmp_path, epochs=8)
    results, stage = run.train()
    assert not same(run.stage().recipe.state_dict(), stage.recipe.state_dict())
    assert results["last"]["accuracy"] > 0.6


class StopAfter(Listener):
    """Sends this process the signal in the middle of training."""

    def __init__(self, epoch, step, number):
        self.place, self.number = (epoch, step), number

    def train_batch(self, report, clock, learning_rate):
        if (clock.epoch, clock.step) == self.place:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 4), (3, 4)])
def test_stopped_and_continued_equals_uninterrupted(tmp_path, place, number):
    whole, parts = ToyRun(tmp_path / "whole"), ToyRun(tmp_path / "parts")
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        parts.train(listeners=[StopAfter(*place, number)])
    results, _ = parts.train(resume_auto=True)
    assert same(without_sizes(whole.weights()), without_sizes(parts.weights()))
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")
    assert results["last"]["epoch"] == 3


class Crash(Listener):
    """Fails in the middle of an epoch, after log lines were written, as a killed process does."""

    def __init__(self, epoch, method):
        self.epoch, self.method = epoch, method

    def train_batch(self, report, clock, learning_rate):
        if self.method == "batch" and (clock.epoch, clock.step) == (self.epoch, 4):
            raise RuntimeError("crash")

    def epoch_ended(self, report):
        if self.method == "after" and report.clock.epoch == self.epoch:
            raise RuntimeError("crash")

    def evaluated(self, report):
        if self.method == "before" and report.clock.epoch == self.epoch:
            raise RuntimeError("crash")


@pytest.mark.parametrize("method", ["batch", "before", "after"])
@pytest.mark.parametrize("every", [None, 1, 3])
def test_crashed_and_continued_equals_uninterrupted(tmp_path, method, every):
    whole, parts = ToyRun(tmp_path / "whole"), ToyRun(tmp_path / "parts", checkpoint_every=every)
    whole.train()
    with pytest.raises(RuntimeError, match="crash"):
        parts.train(listeners=[Crash(1, method)])
    parts.train(resume_auto=True)
    assert same(without_sizes(whole.weights()), without_sizes(parts.weights()))
    assert logged(tmp_path / "whole") == logged(tmp_path / "parts")


def test_continuing_a_finished_run_changes_nothing(tmp_path):
    run = ToyRun(tmp_path)
    first, _ = run.train()
    before, lines = run.weights(), logged(tmp_path)
    again, _ = run.train(resume_auto=True)
    assert again == first
    assert same(before, run.weights())
    assert logged(tmp_path) == lines


def test_more_epochs_can_be_added_later(tmp_path):
    whole, parts = ToyRun(tmp_path / "whole"), ToyRun(tmp_path / "parts")
    whole.train()
    parts.train(max_epochs=2)
    parts.train(resume_auto=True)
    assert same(without_sizes(whole.weights()), without_sizes(parts.weights()))


def test_other_options_are_not_continued(tmp_path):
    ToyRun(tmp_path).train(max_epochs=1)
    with pytest.raises(UserError, match=r"lr was 0\.05 and is 0\.1"):
        ToyRun(tmp_path, lr=0.1).train(resume_auto=True)


def test_an_earlier_run_is_moved_not_overwritten(tmp_path, capsys):
    ToyRun(tmp_path).train(max_epochs=1)
    before = (tmp_path / "checkpoint" / "ckpt.pth.tar").read_bytes()
    for number in (1, 2):
        ToyRun(tmp_path, lr=0.1).train(max_epochs=1)
        assert f"moved to {tmp_path / f'log~{number}'}" in capsys.readouterr().out
    assert (tmp_path / "checkpoint~1" / "ckpt.pth.tar").read_bytes() == before


@pytest.mark.parametrize("spoil", [(0, 0), (1, 3), (2, 5)])
def test_non_finite_loss_stops_the_run_and_spares_the_weights(tmp_path, spoil):
    run = ToyRun(tmp_path, spoil=spoil)
    stage = run.stage()
    with pytest.raises(UserError, match=f"stopped being finite in epoch {spoil[0]}"):
        run.train(stage=stage)
    assert all(torch.isfinite(each).all() for each in stage.recipe.parameters())
    if spoil[0]:
        assert run.weights()["epoch"] == spoil[0]


def test_non_finite_loss_is_not_saved_between_batches(tmp_path):
    run = ToyRun(tmp_path, spoil=(1, 3), checkpoint_every=1)
    with pytest.raises(UserError, match="stopped being finite"):
        run.train()
    kept = run.weights()
    assert (kept["epoch"], kept["longtail"]["progress"]["step"]) == (1, 3)
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


def test_resuming_keeps_momentum_and_takes_the_new_settings(tmp_path):
    ToyRun(tmp_path / "first").train(max_epochs=1)
    other = ToyRun(tmp_path / "second", lr=0.5, epochs=1)
    stage = other.stage()
    other.train(resume=tmp_path / "first" / "checkpoint" / "ckpt.pth.tar", stage=stage)
    (group,) = stage.optimiser.param_groups
    assert group["lr"] == group["initial_lr"] == 0.5
    assert any(state["momentum_buffer"].any() for state in stage.optimiser.state.values())


def test_an_original_checkpoint_in_the_runs_own_folder(tmp_path):
    run = ToyRun(tmp_path)
    log, checkpoints = tmp_path / "log", tmp_path / "checkpoint"
    for folder in (log, checkpoints):
        folder.mkdir()
    (log / "metrics.jsonl").write_text("theirs\n")
    torch.save({"epoch": 3, "state_dict": run.stage().recipe.backbone.state_dict()}, checkpoints / "ckpt.pth.tar")
    run.train(resume=checkpoints / "ckpt.pth.tar")
    assert (tmp_path / "log~1" / "metrics.jsonl").read_text() == "theirs\n"


@pytest.mark.parametrize("select", ["test", "val", "last"])
def test_selection(tmp_path, select):
    run = ToyRun(tmp_path, epochs=6, select=select)
    results, _ = run.train()
    lines = logged(tmp_path)
    scores = [line["val" if select == "val" else "test"]["accuracy"] for line in lines]
    best = 5 if select == "last" else scores.index(max(scores))
    assert results["best"] == {"epoch": best, **lines[best]["test"]}
    assert results["last"] == {"epoch": 5, **lines[5]["test"]}
    kept = torch.load(tmp_path / "checkpoint" / "ckpt.best.pth.tar", weights_only=True)
    assert kept["epoch"] == best + 1
    assert kept["best_acc1"] == pytest.approx(100 * scores[best])


def test_files_of_a_run(tmp_path):
    run = ToyRun(tmp_path)
    results, stage = run.train()
    assert sorted(each.name for each in (tmp_path / "checkpoint").iterdir()) == [
        "2_n.pth.tar",
        "4_n.pth.tar",
        "ckpt.best.pth.tar",
        "ckpt.pth.tar",
    ]
    record = json.loads((tmp_path / "log" / "run.json").read_text())
    assert record["finished"]
    assert record["results"] == results
    assert torch.__version__.startswith(record["versions"]["torch"])
    rows = (tmp_path / "log" / "per_class.csv").read_text().splitlines()
    assert rows[0] == "class,name,train_images,accuracy_best,accuracy_last"
    assert [row.split(",")[:3] for row in rows[1:]] == [
        [str(index), name, str(COUNTS[index])] for index, name in enumerate("abc")
    ]
    assert set(run.weights()["state_dict"]) == set(stage.recipe.backbone.state_dict())


def test_original_checkpoints_load(tmp_path):
    run = ToyRun(tmp_path)
    stage = run.stage()
    names = stage.recipe.backbone.state_dict()
    theirs = {
        "epoch": 3,
        "best_acc1": torch.tensor(41.5),
        "state_dict": {f"module.{name}": torch.ones_like(value) for name, value in names.items()},
    }
    torch.save(theirs, tmp_path / "theirs.pth.tar")
    results, _ = run.train(resume=tmp_path / "theirs.pth.tar", stage=stage)
    assert results["last"]["epoch"] == 3
    assert stage.recipe.seen == 6  # one epoch of six batches was left


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no checkpoint found"),
        (b"PK\x03\x04 cut short", "not a readable checkpoint"),
        ({"weights": 1}, "no 'state_dict'"),
        ({"state_dict": {"1.weight": torch.zeros(2, 2)}}, "another model"),
        ({"state_dict": {}, "longtail": {"format": 99}}, "format 99"),
    ],
)
def test_bad_checkpoints(tmp_path, content, message):
    path = tmp_path / "bad.pth.tar"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=message):
        ToyRun(tmp_path).train(resume=path)
    assert not (tmp_path / "log").exists()


def test_accumulated_gradients_equal_those_of_a_larger_batch(tmp_path):
    class Plain(ToyRun):
        def stage(self):
            stage = super().stage()
            stage.recipe.backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
            torch.nn.init.zeros_(stage.recipe.backbone[1].weight)
            torch.nn.init.zeros_(stage.recipe.backbone[1].bias)
            optimiser = torch.optim.SGD(stage.recipe.parameters(), lr=0.1)
            loader = stage.train
            loader.batch_size = self.batch_size
            return type(stage)("toy", stage.recipe, loader, optimiser, self.schedule, 2)

    small, large = Plain(tmp_path / "small", accumulate=2), Plain(tmp_path / "large")
    small.batch_size, large.batch_size = 7, 14
    states = [run.train()[1].recipe.state_dict()["backbone.1.weight"] for run in (small, large)]
    torch.testing.assert_close(*states)


def test_clipping_bounds_the_step(tmp_path):
    run = ToyRun(tmp_path, epochs=1, clip_norm=1e-3, max_steps=1)
    stage = run.stage()
    for group in stage.optimiser.param_groups:
        group["weight_decay"] = 0.0
    before = [each.clone() for each in stage.recipe.parameters()]
    run.train(stage=stage)
    moved = torch.cat([(new - old).flatten() for new, old in zip(stage.recipe.parameters(), before, strict=True)])
    assert 0 < moved.norm() <= 0.05 * 1e-3 * 1.01


def test_max_steps_bounds_every_epoch(tmp_path):
    seen = []

    class Count(Listener):
        def train_batch(self, report, clock, learning_rate):
            seen.append(("train", report.step, report.steps))

        def evaluation_batch(self, report):
            seen.append(("test", report.step, report.steps))

    _, stage = ToyRun(tmp_path).train(listeners=[Count()], max_epochs=2, max_steps=2)
    assert seen == [("train", 0, 2), ("test", 0, 2)] * 2
    assert stage.recipe.seen == 4


def test_evaluation_interval(tmp_path):
    results, _ = ToyRun(tmp_path, epochs=5, eval_every=2).train()
    assert [line["epoch"] for line in logged(tmp_path) if line["test"] is not None] == [1, 3, 4]
    assert results["last"]["epoch"] == 4
