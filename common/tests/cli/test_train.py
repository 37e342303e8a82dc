"""`longtail train` on the embedded digits, two batches at a time."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from longtail.cli.jobs import Job, Source
from longtail.cli.train import create_method_parser, read_job
from longtail.datasets.fake import write_fake
from longtail.metrics import ShotThresholds
from longtail.training.erm import METHOD, ERMOptions
from longtail.training.options import option
from longtail.training.runtime import RuntimeOptions

TINY = (
    "--backbone",
    "resnet20",
    "--batch-size",
    16,
    "--max-epochs",
    1,
    "--max-steps",
    2,
    "--device",
    "cpu",
    "--progress",
    "none",
)
NAME = "digits-if0.05-resnet20-erm-balanced_softmax-batch_size16-max_steps2-seed3"


@pytest.fixture(scope="module")
def job():
    return Job(METHOD, ERMOptions(), Source(), Source().default_backbone, 0, RuntimeOptions(), ShotThresholds())


def train(longtail, *words):
    return longtail("train", "erm", "--loss", "balanced_softmax", "--imbalance-factor", 0.05, "--seed", 3, *TINY, *words)


def test_a_run_and_its_folder(longtail, tmp_path):
    ended = train(longtail, "--thresholds", 50, 10, "--out", "here")
    assert ended.code == 0
    folder = tmp_path / "here"
    record = json.loads((folder / "run.json").read_text())
    assert record["finished"]
    wanted = {"method": "erm", "loss": "balanced_softmax", "data": "digits", "imbalance_factor": 0.05, "backbone": "resnet20"}
    assert (wanted | {"seed": 3, "batch_size": 16, "shots_many": 50, "shots_few": 10}).items() <= record["identity"].items()
    assert record["command"].startswith("longtail train erm --loss balanced_softmax")
    best, last = record["results"]["best"], record["results"]["last"]
    assert best == last
    assert {path.name for path in folder.iterdir()} >= {"ckpt.pth.tar", "ckpt.best.pth.tar", "metrics.jsonl", "per_class.csv"}
    with (folder / "per_class.csv").open() as file:
        assert [int(row["train_images"]) for row in csv.DictReader(file)] == record["class_counts"]

    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines() if line.startswith("  ") and line.strip()}
    scores = ("accuracy", "many", "medium", "few", "balanced_accuracy", "macro_f1")
    shown = ["1", *("absent" if last[each] is None else f"{100 * last[each]:.1f}" for each in scores)]
    assert rows["best"] == rows["last"] == shown
    assert "more than 50 training images" in ended.out
    assert "best: chosen on the test set" in ended.out
    assert ended.out.endswith("run folder: here\n")


def test_tensorboard_events_where_asked(longtail, tmp_path):
    assert train(longtail, "--tensorboard", "--out", "here").code == 0
    assert list((tmp_path / "here").glob("events.out.tfevents.*"))


def test_own_images(longtail, tmp_path):
    write_fake("mini-imagenet", tmp_path / "mine", num_classes=3, largest_class=6, test_per_class=2)
    words = ("--data", "folder", "--root", "mine", "--image-size", 32, "--workers", 0)
    ended = train(longtail, *words)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == (
        "run folder: runs/folder-32px-resnet20-erm-balanced_softmax-batch_size16-max_steps2-seed3"
    )
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/run.json"))
    assert record["results"]["last"]["samples"] == 6
    assert train(longtail, *words, "--resume-auto", "--jitter", 0.4).code == 0


def test_the_network_fits_the_images():
    def chosen(*words):
        return read_job(METHOD, create_method_parser(METHOD).parse_args(words)).backbone

    assert chosen("--data", "cifar10") == "resnet32"
    assert chosen("--data", "imagenet-lt") == "resnet50"
    assert chosen("--data", "imagenet-lt", "--backbone", "resnext50_32x4d") == "resnext50_32x4d"


def test_the_default_folder_and_continuing(longtail, tmp_path):
    first = train(longtail)
    assert (first.code, first.out.splitlines()[-1]) == (0, f"run folder: runs/{NAME}")
    again = train(longtail, "--resume-auto")
    assert (again.code, again.out) == (0, first.out)
    other = train(longtail, "--resume-auto", "--epochs", 7, "--out", f"runs/{NAME}")
    assert (other.code, other.out) == (2, "")
    assert "epochs was 200 and is 7" in other.err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [NAME]


def test_held_out_images_select_where_asked(longtail):
    ended = train(longtail, "--select", "val", "--val-fraction", 0.2, "--out", "here")
    assert ended.code == 0
    assert "best: chosen on held-out training images" in ended.out


def test_plain_progress_goes_to_standard_error(longtail):
    ended = train(longtail, "--progress", "plain", "--out", "here")
    assert ended.code == 0
    assert ended.err.splitlines()[-1].startswith("epoch 1/1 ")


def test_help_of_a_method_shows_its_options(longtail):
    ended = longtail("train", "erm", "--help")
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "usage: longtail train erm",
        METHOD.paper,
        "--sampling-power",
        "--imbalance-factor",
        "--max-steps",
        "resnet32",
    ):
        assert words in ended.out


def test_without_flags_a_job_is_made_of_the_defaults(job):
    assert read_job(METHOD, create_method_parser(METHOD).parse_args([])) == job


def test_flags_reach_the_job(job):
    words = (
        "--data cifar100 --imbalance-factor 0.1 --profile step --split-seed 4 --backbone resnet44 --seed 5 --thresholds 30 5 "
        "--lr 0.5 --loss ldam --precision bf16"
    )
    wanted = replace(
        job,
        options=ERMOptions(lr=0.5, loss="ldam"),
        source=Source("cifar100", 0.1, "step", 4),
        backbone="resnet44",
        seed=5,
        runtime=RuntimeOptions(precision="bf16"),
        thresholds=ShotThresholds(many=30, few=5),
    )
    assert read_job(METHOD, create_method_parser(METHOD).parse_args(words.split())) == wanted


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "digits-if0.01-erm-ce-seed0"),
        ({"seed": 2, "backbone": "resnet20"}, "digits-if0.01-resnet20-erm-ce-seed2"),
        ({"source": Source("cifar10", 0.1, "step", 3)}, "cifar10-if0.1-step-split3-erm-ce-seed0"),
        ({"source": Source(profile="balanced")}, "digits-balanced-erm-ce-seed0"),
        ({"options": ERMOptions(loss="ldam", train_rule="drw", lr=0.05)}, "digits-if0.01-erm-ldam-train_rule_drw-lr0.05-seed0"),
        ({"runtime": RuntimeOptions(precision="bf16")}, "digits-if0.01-erm-ce-precision_bf16-seed0"),
        ({"runtime": RuntimeOptions(channels_last=False)}, "digits-if0.01-erm-ce-no_channels_last-seed0"),
        ({"runtime": RuntimeOptions(max_epochs=1)}, "digits-if0.01-erm-ce-seed0"),
        ({"thresholds": ShotThresholds(many=40, few=10)}, "digits-if0.01-erm-ce-shots40_10-seed0"),
    ],
)
def test_run_names_tell_what_differs(job, changes, name):
    assert replace(job, **changes).name({"precision", "channels_last"}) == name


def test_run_names_stay_file_names(job):
    from dataclasses import make_dataclass

    fields = [(f"option_{index}", str, option("", "text")) for index in range(20)]
    options = make_dataclass("Options", fields, frozen=True)
    method = SimpleNamespace(name="long", options=options)
    names = {
        replace(job, method=method, options=options(*["a/b c"] * 19, last), seed=seed).name({})
        for last in "xy"
        for seed in (1, 2)
    }
    assert len(names) == 4
    for name in names:
        assert len(name) < 200
        assert not set(name) & set("/ ")
        assert name.rpartition("-seed")[2] in ("1", "2")
