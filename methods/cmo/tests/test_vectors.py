"""Numbers computed with the paper's original functions: boxes, draws, schedules, a short training, log formats."""

import argparse
import functools

import numpy as np
import pytest
import torch
from torch import nn

from longtail.loading.base import Batch
from longtail.losses import create_loss
from longtail.metrics import ClassificationCounts, ShotThresholds, summarise
from longtail.randomness import Randomness
from longtail.training.plain import ClassWeights
from longtail.training.recipe import Clock
from longtail_cmo.experiments import CIFAR, IMAGENET, INAT
from longtail_cmo.flags import create_parser, run_name
from longtail_cmo.logs import elapsed, groups_line
from longtail_cmo.mixing import MixPlan, centred_box, draw_box
from longtail_cmo.recipe import CMO
from longtail_cmo.schedules import Timing
from longtail_cmo.training import method_options


@pytest.mark.parametrize(
    ("size", "ratio", "centre", "box", "kept"),
    [
        ((32, 32), 0.5, (0, 0), (0, 0, 11, 11), 0.8818359375),
        ((32, 32), 0.5, (16, 16), (5, 5, 27, 27), 0.52734375),
        ((32, 32), 0.75, (31, 5), (23, 0, 32, 13), 0.8857421875),
        ((32, 32), 0.999, (10, 10), (10, 10, 10, 10), 1.0),
        ((32, 32), 0.996, (10, 10), (9, 9, 11, 11), 0.99609375),
        ((32, 32), 0.0, (16, 16), (0, 0, 32, 32), 0.0),
        ((32, 32), 0.0, (0, 31), (0, 15, 16, 32), 0.734375),
        ((224, 224), 0.3, (100, 200), (7, 107, 193, 224), 0.5662866709183674),
        ((8, 16), 0.36, (3, 12), (0, 6, 6, 16), 0.53125),
    ],
)
def test_box_around_a_centre(size, ratio, centre, box, kept):
    found = centred_box(*size, ratio, *centre)
    assert found[:4] == box
    assert found.kept == pytest.approx(kept, abs=1e-15)


def test_draws_in_the_papers_order():
    rng = np.random.RandomState(1)
    boxes = [draw_box(rng, 32, 32, probability=0.5, beta=1.0) for _ in range(4)]
    assert [box[:4] for box in boxes] == [(11, 5, 11, 5), (0, 15, 26, 32), (8, 10, 28, 30), (16, 2, 20, 6)]
    assert [box.kept for box in boxes] == [1.0, 0.568359375, 0.609375, 0.984375]


def test_draws_without_mixing():
    rng = np.random.RandomState(0)
    assert [draw_box(rng, 32, 32, probability=0.5, beta=1.0) for _ in range(4)] == [None] * 4
    # each of them took one uniform number and nothing else
    assert rng.rand() == np.random.RandomState(0).rand(5)[4]


_WARM = {0: 0.02, 1: 0.04, 4: 0.1, 5: 0.1}


@pytest.mark.parametrize(
    ("timing", "base", "rates"),
    [
        (Timing("cifar", False, 200, False), 0.1, {**_WARM, 159: 0.1, 160: 0.001, 179: 0.001, 180: 1e-05, 199: 1e-05}),
        (
            Timing("cifar", True, 400, False, cosine=True),
            0.1,
            {0: 0.01, 8: 0.09, 9: 0.1, 10: 0.11, 11: 0.1, 320: 0.1, 321: 0.01, 360: 0.01, 361: 0.001, 399: 0.001},
        ),
        (Timing("imagenet", False, 100, False), 0.1, {**_WARM, 59: 0.1, 60: 0.01, 79: 0.01, 80: 0.001}),
        (Timing("inat", False, 100, False), 0.1, {**_WARM, 74: 0.1, 75: 0.01, 99: 0.01, 159: 0.01, 160: 0.001}),
        (
            Timing("imagenet", True, 400, False, cosine=True),
            0.02,
            {
                0: 0.002,
                8: 0.018,
                9: 0.02,
                10: 0.019999677214588313,
                11: 0.019998708879191335,
                100: 0.017443979902328956,
                200: 0.010361485598921211,
                300: 0.0030579129935304097,
                398: 1.291120808666335e-06,
                399: 3.2278541168717647e-07,
            },
        ),
        (Timing("inat", True, 400, False), 0.02, {9: 0.02, 119: 0.02, 120: 0.002, 159: 0.002, 160: 0.0002}),
        # --cos without strong augmentation changes nothing
        (Timing("imagenet", False, 100, False, cosine=True), 0.1, {59: 0.1, 60: 0.01}),
    ],
)
def test_schedule(timing, base, rates):
    schedule = timing.schedule()
    assert {epoch: base * schedule(epoch) for epoch in rates} == pytest.approx(rates, rel=1e-9)


def test_fixed_epochs_stretched_to_a_run():
    half = Timing("imagenet", False, 50, True)
    assert (half.deferral, half.fitted(3)) == (40, 1)
    rates = [half.schedule()(epoch) for epoch in (29, 30, 39, 40)]
    assert rates == [1.0, 0.1, 0.1, 0.01]
    kept = Timing("imagenet", False, 50, False)
    assert (kept.deferral, kept.fitted(3), kept.schedule()(30)) == (80, 3, 1.0)


class _OneGenerator(Randomness):
    """Every stream is the same generator, as in the original, which draws from numpy's global one."""

    def legacy(self, stream, *key):
        return np.random.RandomState(1)


def _wave(function, scale, shape):
    values = function(scale * np.arange(np.prod(shape), dtype=np.float64))
    return torch.from_numpy(values.reshape(shape))


_CE = {
    "values": [
        (1.92980888073313, 1.791487746146072),
        (1.8772035573658548, 2.5748672346628307),
        (0.46919968001905893, 3.826511810016014),
        (0.025635644662516596, 7.952196803105094),
    ],
    "mean": 1.383402903439837,
    "top1": 50.0,
    "weight": [-0.017819019244561, -0.016402319009865, -0.028081656222665, -0.027471390215972],
    "total": 64.34218217577012,
    "bias": [
        0.111216457989184,
        0.031311159980285,
        -0.015247020910543,
        -0.048795208425674,
        -0.056774759645580,
        -0.021710628987672,
    ],
}
_BS = {
    "values": [
        (1.2702948468825885, 4.297681479305265),
        (1.099409495825255, 4.950464745230658),
        (0.18629726953106845, 6.149202530709715),
        (0.00449913115473352, 9.901564052468936),
    ],
    "mean": 1.5543614091197115,
    "top1": 56.25,
    "weight": [-0.006517645648131, -0.005618420518187, -0.019644304362966, -0.019384440527665],
}


@pytest.mark.parametrize(
    ("loss", "counts", "expected"), [("ce", [1] * 6, _CE), ("balanced_softmax", [500, 120, 100, 20, 19, 5], _BS)]
)
def test_training_end_to_end(loss, counts, expected):
    linear = nn.Linear(192, 6, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(0.05 * _wave(np.cos, 0.1, (6, 192)))
        linear.bias.zero_()
    criterion = create_loss(loss, class_counts=counts)
    called = []
    criterion.register_forward_hook(lambda _module, _inputs, value: called.append(value.item()))
    randomness = _OneGenerator(0)
    plan = MixPlan(randomness, 8, 8, steps=4, after=3, before=17, probability=0.5, beta=1.0)
    recipe = CMO(nn.Sequential(nn.Flatten(), linear), criterion, ClassWeights("none", np.array(counts), 160), plan)
    optimiser = torch.optim.SGD(recipe.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-4)

    losses, hits = [], 0
    for step in range(4):
        foreground = Batch(_wave(np.cos, 0.013, (4, 3, 8, 8)), torch.tensor([5, 4, 3, 5]), torch.arange(4), 4)
        batch = Batch(_wave(np.sin, 0.01, (4, 3, 8, 8)), torch.tensor([0, 1, 2, 0]), torch.arange(4), 4, foreground)
        output = recipe(batch, Clock(10, 20, step, 4, randomness))
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
        losses.append(output.loss.item())
        hits += (output.logits.argmax(1) == output.labels).sum().item()

    assert [plan.box(10, step)[:4] for step in range(4)] == [(3, 5, 3, 5), (2, 1, 8, 7), (0, 2, 4, 6), (2, 4, 2, 4)]
    # the prior is float32, in the original as here
    assert np.array(called).reshape(4, 2) == pytest.approx(np.array(expected["values"]), rel=1e-11)
    assert np.mean(losses) == pytest.approx(expected["mean"], rel=1e-11)
    assert 100 * hits / 16 == expected["top1"]
    assert linear.weight[0, :4].tolist() == pytest.approx(expected["weight"], abs=1e-13)
    if "total" in expected:
        assert linear.weight.abs().sum().item() == pytest.approx(expected["total"], rel=1e-12)
        assert linear.bias.tolist() == pytest.approx(expected["bias"], abs=1e-13)


@pytest.mark.parametrize(("seconds", "text"), [(3661.5, "1:01:01.50"), (59.999, "0:00:60.00"), (360000.25, "100:00:00.25")])
def test_elapsed_time(seconds, text):
    assert elapsed(seconds) == text


@pytest.mark.parametrize(
    ("counts", "line"),
    [([500, 120, 100, 20, 19, 5], "75.0 0.0 0.0"), ([500] * 6, "25.0 absent absent")],
)
def test_shot_groups(counts, line):
    predictions = torch.tensor([0, 2, 1, 0, 2, 1, 0, 1, 0, 2, 1, 0])
    found = ClassificationCounts(6)
    found.update(torch.nn.functional.one_hot(predictions, 6).float(), torch.arange(6).repeat(2))
    summary = summarise(found, counts)
    assert summary.per_class_accuracy == (1.0, 0.5, 0.0, 0.0, 0.0, 0.0)
    assert groups_line(summary) == f"many avg, med avg, few avg {line}"


def test_a_class_of_twenty_is_few_shot_in_the_large_scale_scripts():
    groups = ShotThresholds(few_inclusive=IMAGENET.few_inclusive).groups([101, 100, 21, 20, 19])
    assert [members.tolist().count(True) for members in groups] == [1, 2, 2]


@pytest.mark.parametrize(("experiment", "jitter", "deferral"), [(CIFAR, 0.0, 160), (IMAGENET, 0.4, 80), (INAT, 0.0, 160)])
def test_what_each_script_fixes(experiment, jitter, deferral):
    options = method_options(experiment, create_parser("test", experiment).parse_args([]))
    assert (options.jitter, options.timing.deferral, options.fit_schedule) == (jitter, deferral, False)


_parse = functools.partial(argparse.ArgumentParser.parse_args, create_parser("test", CIFAR))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (
            "--dataset cifar100 --loss_type CE --train_rule DRW --epochs 200 --data_aug CMO",
            "cifar100_resnet32_CE_DRW_CMO_0.01_0_0.5_0",
        ),
        ("--dataset cifar100 --loss_type BS --epochs 200 --data_aug CMO", "cifar100_resnet32_BS_None_CMO_0.01_0_0.5_0"),
        (
            "--dataset cifar100 --loss_type BS --epochs 400 --data_aug CMO --use_randaug",
            "cifar100_resnet32_BS_None_CMO_0.01_0_0.5_0",
        ),
        (
            "-a resnet50 --dataset Imagenet-LT --loss_type BS --data_aug CMO --epochs 100",
            "Imagenet-LT_resnet50_BS_None_CMO_0.01_0_0.5_0",
        ),
        ("-a resnet50 --dataset iNat18 --loss_type BS --data_aug CMO -b 256", "iNat18_resnet50_BS_None_CMO_0.01_0_0.5_0"),
    ],
)
def test_run_name(command, name):
    assert run_name(_parse(command.split())) == name


@pytest.mark.parametrize("flags", ["--train_rule Reweight", "--dataset cifar10", "--data_aug mixup", "--loss_type Focal"])
def test_rejected_values(flags):
    with pytest.raises(SystemExit) as stop:
        _parse(flags.split())
    assert stop.value.code == 2
