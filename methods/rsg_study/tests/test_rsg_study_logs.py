"""What the study's scripts print and write, and how the study groups classes."""

import argparse
import json
import os
import pickle
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.metrics import ClassificationCounts, summarise
from longtail.training.meter_lines import class_line, evaluation_line, result_line, train_line
from longtail.training.reports import Averaged, BatchReport, Meters
from longtail_rsg_study.data import is_descending, thresholds
from longtail_rsg_study.logs import read_arguments, shots_line, write_arguments

CIFAR10 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
CIFAR100 = [int(500 * 0.01 ** (c / 99)) for c in range(100)]


def evaluated(correct, per_class, counts, name):
    """The summary of a test with so many images of each class, of which so many are predicted right."""
    classes = len(counts)
    tally = ClassificationCounts(classes, torch.device("cpu"))
    labels = torch.arange(classes).repeat_interleave(per_class)
    wrong = (labels + 1) % classes
    hit = torch.cat([torch.arange(per_class) < each for each in correct])
    logits = torch.nn.functional.one_hot(torch.where(hit, labels, wrong), classes).float()
    tally.update(logits, labels, torch.tensor(0.0))
    return summarise(tally, np.asarray(counts), thresholds(name, counts))


@pytest.mark.parametrize(
    ("name", "counts", "per_class", "correct", "numbers"),
    [
        ("mini-ImageNet", [300, 150, 100, 60, 20, 5], 10, [9, 8, 7, 5, 4, 1], ("56.67", "80.00", "50.00", "25.00")),
        ("CIFAR10", CIFAR10, 100, [95, 97, 80, 70, 75, 60, 72, 65, 50, 40], ("70.40", "90.67", "68.40", "45.00")),
        ("mini-ImageNet", [300, 150], 10, [5, 6], ("55.00", "55.00", "absent", "absent")),
    ],
)
def test_accuracy_by_shot_groups(name, counts, per_class, correct, numbers):
    line = shots_line(evaluated(correct, per_class, counts, name))
    overall, many, median, low = numbers
    assert line == (
        f"The overall accuracy: {overall}. The many shot accuracy: {many}. The median shot accuracy: {median}. "
        f"The low shot accuracy: {low}."
    )


@pytest.mark.parametrize(
    ("name", "counts", "sizes"),
    [
        ("CIFAR10", CIFAR10, (3, 5, 2)),
        ("CIFAR100", CIFAR100, (26, 48, 26)),
        ("mini-imagenet", [500, 60, 30, 12], (2, 1, 1)),
        ("balanced", [7, 7, 7, 7, 7], (5, 0, 0)),
        ("two", [9, 3], (1, 0, 1)),
        ("one", [9], (1, 0, 0)),
    ],
)
def test_sizes_of_the_shot_groups(name, counts, sizes):
    assert tuple(int(group.sum()) for group in thresholds(name, counts).groups(counts)) == sizes


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.sampled_from(["mini-ImageNet", "CIFAR100"]))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_groups_follow_the_study(counts, name):
    ordered, quarter = sorted(counts, reverse=True), int(len(counts) / 4)
    many, low = (100, 20) if name == "mini-ImageNet" else (ordered[quarter], ordered[-quarter])
    expected = ["many" if count >= many else "low" if count <= low else "median" for count in counts]
    groups = thresholds(name, counts).groups(counts)
    found = [{"many": groups.many[c], "median": groups.medium[c], "low": groups.few[c]} for c in range(len(counts))]
    assert [[name for name, member in each.items() if member] for each in found] == [[name] for name in expected]


def test_order_of_the_counts():
    assert is_descending([5, 5, 3])
    assert not is_descending([3, 5])
    assert is_descending([4])


def test_line_of_a_training_batch():
    seconds, loss, top1, top5 = Averaged(0.1, 0.25), Averaged(2.0, 2.5), Averaged(0.5, 0.25), Averaged(1.0, 0.75)
    report = BatchReport(10, 724, seconds, Averaged(0.01, 0.02), loss, top1, top5)
    meters = "Time 0.100 (0.250)\tData 0.010 (0.020)\tLoss 2.0000 (2.5000)\tPrec@1 50.000 (25.000)\tPrec@5 100.000 (75.000)"
    assert train_line(report, SimpleNamespace(epoch=1), 9e-4) == f"Epoch: [1][10/724], lr: 0.00090\t{meters}"
    assert evaluation_line(report, with_data=True) == f"Test: [10/724]\t{meters}"


def test_top_five_of_six_classes_and_of_three():
    meters = Meters(torch.device("cpu"))
    ramp = torch.arange(1, 7) / 10
    logits = torch.stack([ramp, ramp.flip(0), torch.tensor([0.3, 0.1, 0.2, 0.6, 0.5, 0.4])])
    meters.add(torch.tensor(0.0), logits, torch.tensor([0, 0, 1]))
    report = meters.report(0, 1)
    assert [100 * each.mean for each in (report.top1, report.top5)] == pytest.approx([33.3333] * 2, abs=1e-4)
    few = Meters(torch.device("cpu"))
    few.add(torch.tensor(0.0), logits[:, :3], torch.tensor([0, 0, 1]))
    assert few.report(0, 1).top5.mean == 1


def test_lines_of_a_validation():
    summary = evaluated([1, 2, 0], 2, [3, 2, 1], "toy")
    assert result_line(summary) == "val Results: Prec@1 50.000 Prec@5 100.000 Loss 0.00000"
    assert class_line(summary) == "val Class Accuracy: [0.500,1.000,0.000]"


def test_a_class_without_validation_images_keeps_its_place():
    tally = ClassificationCounts(3, torch.device("cpu"))
    tally.update(torch.eye(3)[[0, 2]], torch.tensor([0, 2]), torch.tensor(0.0))
    assert class_line(summarise(tally, np.array([3, 2, 1]))) == "val Class Accuracy: [1.000,nan,1.000]"


ARGUMENTS = {"arch": "resnet18", "norm_out": True, "seed": None, "lr": 0.001, "gpu": (0, 1), "cls_num_list": [3, 2]}


def test_arguments_are_written_twice(tmp_path):
    write_arguments(tmp_path, ARGUMENTS)
    assert read_arguments(tmp_path) == {**ARGUMENTS, "gpu": [0, 1]}
    (tmp_path / "args.json").unlink()
    assert read_arguments(tmp_path) == ARGUMENTS


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", [dict, lambda values: argparse.Namespace(**values)])
def test_the_study_s_own_arguments(protocol, form, tmp_path):
    (tmp_path / "args.pkl").write_bytes(pickle.dumps(form(ARGUMENTS), protocol=protocol))
    assert read_arguments(tmp_path) == ARGUMENTS


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (argparse.Namespace(arch=Malicious()), r"it asks for posix\.mkdir, which is no argument"),
        (argparse.Namespace(arch=OrderedDict()), r"it asks for collections\.OrderedDict, which is no argument"),
        (7, "cannot read"),
    ],
)
def test_no_other_pickle_is_read(value, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "args.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=message):
        read_arguments(tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"no pickle", pickle.dumps({"a": 1})[:-3]])
def test_a_damaged_pickle(content, tmp_path):
    (tmp_path / "args.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*args\.pkl(.|\n)*args\.json"):
        read_arguments(tmp_path)


def test_arguments_that_are_none(tmp_path):
    (tmp_path / "args.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="holds no arguments"):
        read_arguments(tmp_path)
