"""Numbers of the paper's own code, reproduced through the recipe."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from longtail.backbones import Backbone, create_backbone
from longtail.loading.base import Batch
from longtail.losses import LDAM, CrossEntropy, effective_number_weights, mixed_loss
from longtail.randomness import Randomness
from longtail.training.mixup import Mix, blended
from longtail.training.recipe import Clock
from longtail.training.stage import create_sgd
from longtail_dpa_ei.covariance import ClassCovariance
from longtail_dpa_ei.implicit import augmented
from longtail_dpa_ei.meta import by_double_backward, by_forward_mode
from longtail_dpa_ei.mixing import draw_mix
from longtail_dpa_ei.recipe import DPAEI, Augmentation
from longtail_dpa_ei.schedules import Timing

CIFAR10 = np.array([4990, 2991, 1793, 1075, 644, 386, 231, 138, 83, 49])
META_STEPS = pytest.mark.parametrize("meta_step", [by_forward_mode, by_double_backward])


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def clock(epoch, epochs=200):
    return Clock(epoch, epochs, 0, 1, Randomness(0))


class Recorded:
    """A meta step that remembers what it was asked and what it found."""

    def __init__(self, step):
        self.step, self.covariance, self.found = step, None, None

    def __call__(self, ahead, logits, covariance):
        self.covariance = covariance.clone()
        self.found = self.step(ahead, logits, covariance)
        return self.found

    def corrected(self, rate=0.1):
        return self.covariance - rate * self.found.gradient


def in_float64(recipe, class_counts, margins=True):
    """The recipe in float64, its constants too, which are rounded to float32 where they are made."""
    recipe.double()
    recipe.implicit_loss.set_class_weights(effective_number_weights(class_counts))
    if margins:
        rarity = np.asarray(class_counts) ** -0.25
        recipe.implicit_loss.margins.copy_(torch.from_numpy(0.5 * rarity / rarity.max()))
    return recipe


def close(actual, expected, tolerance=1e-12):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(torch.as_tensor(actual, dtype=torch.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            CIFAR10,
            [
                0.05019795373522099,
                0.0762850434593502,
                0.12014235381276167,
                0.19348555196428752,
                0.3161882215057684,
                0.5208224081703186,
                0.8636073755345348,
                1.4389174399043911,
                2.385858596162452,
                4.034495055750914,
            ],
        ),
        ([500, 100, 10, 1], [0.007374278848974973, 0.036144870167539034, 0.35982724016792433, 3.596653610815562]),
        ([1280, 5], [0.008286632281886953, 1.991713367718113]),
        ([1000, 2], [0.004194109026331409, 1.9958058909736687]),
    ],
)
def test_class_weights(counts, expected):
    close(effective_number_weights(counts), expected)
    recipe = DPAEI(create_backbone("resnet20", num_classes=len(counts), seed=0), np.array(counts), Augmentation())
    close(recipe.implicit_loss.weight, expected, 1e-6)


def test_class_weights_of_cifar100():
    counts = [int(400 * 0.01 ** (c / 99)) for c in range(100)]
    assert sum(counts) == 8668
    weights = effective_number_weights(counts)
    close(weights[:3], [0.044176814711401224, 0.046336102333584886, 0.04845919713881357])
    close(weights[-5:], [4.331356100369139] * 5)
    close(LDAM(counts, scale=1.0).margins[0], 0.15811388, 1e-7)


def test_margins():
    expected = [
        0.15739607131042702,
        0.17888129121874835,
        0.20329371485692643,
        0.23102921810111302,
        0.26260171466675786,
        0.2984504225962419,
        0.33932513407933634,
        0.38596618100914104,
        0.4382778285311249,
        0.5,
    ]
    recipe = DPAEI(create_backbone("resnet20", num_classes=10, seed=0), CIFAR10, Augmentation())
    close(recipe.implicit_loss.margins, expected, 1e-7)
    assert recipe.implicit_loss.scale == 1
    close(LDAM([100, 20, 5], scale=1.0).margins, [0.23643540225079396, 0.3535533905932738, 0.5], 1e-7)


@pytest.mark.parametrize(
    ("epoch", "rate", "inner", "ratio", "implicit"),
    [
        (0, 0.1, None, 0, False),
        (79, 0.1, None, 0.1975, False),
        (158, 0.1, None, 0.395, False),
        (159, 0.001, None, 0.3975, False),
        (160, 0.001, 0.001, 0.4, True),
        (178, 0.001, 0.001, 0.445, True),
        (179, 1e-05, 0.001, 0.4475, True),
        (180, 1e-05, 1e-05, 0.45, True),
        (199, 1e-05, 1e-05, 0.4975, True),
    ],
)
def test_schedules(epoch, rate, inner, ratio, implicit):
    timing = Timing()
    assert 0.1 * timing.learning_rate()(epoch) == pytest.approx(rate, rel=1e-14)
    assert timing.is_implicit(epoch) == implicit
    if inner is not None:
        assert 0.1 * timing.inner_learning_rate()(epoch) == pytest.approx(inner, rel=1e-14)
    assert ratio == pytest.approx(0.5 * epoch / 200)


BATCHES = [
    ([[1.0, 2], [3, 1], [2, 5], [0, 1]], [0, 0, 1, 0]),
    ([[2.0, 2], [4, 0], [1, 1]], [1, 1, 2]),
    ([[1.0, 2], [3, 1], [2, 5], [0, 1]], [0, 0, 1, 0]),
]
FIRST = [[1.555555701, -0.111111097], [-0.111111097, 0.222222209]]
NOTHING = [[0.0, 0], [0, 0]]
ESTIMATES = [
    ([FIRST, NOTHING, NOTHING], [[4 / 3, 4 / 3], [2, 5], [0, 0]], [3, 1, 0]),
    (
        [FIRST, [[0.888888896, -1.555555582], [-1.555555582, 4.222221851]], NOTHING],
        [[4 / 3, 4 / 3], [8 / 3, 7 / 3], [1, 1]],
        [3, 3, 1],
    ),
    ([FIRST, [[0.75, -1.5], [-1.5, 4.5]], NOTHING], [[4 / 3, 4 / 3], [2.5, 3], [1, 1]], [6, 4, 1]),
]


def test_estimator():
    full, diagonal = ClassCovariance(3, 2), ClassCovariance(3, 2, diagonal=True)
    for (features, labels), (covariance, mean, count) in zip(BATCHES, ESTIMATES, strict=True):
        for statistics in (full, diagonal):
            statistics.update(torch.tensor(features), torch.tensor(labels))
            close(statistics.mean, mean, 1e-6)
            assert statistics.count.tolist() == count
        close(full.covariance, covariance, 1e-6)
        close(diagonal.covariance, torch.diagonal(torch.tensor(covariance), dim1=1, dim2=2), 1e-6)


WEIGHT = [[0.5, -0.2], [0.1, 0.4], [-0.3, 0.8]]
BIAS = [0.05, -0.1, 0.2]
FEATURES = [[1, 2], [0.5, -1], [2, 0.3], [-1, 1.5]]
LABELS = torch.tensor([0, 1, 2, 0])
FEW = [100, 20, 5]


def test_loss_with_full_covariance_and_margins():
    weight, bias = double(WEIGHT).requires_grad_(), double(BIAS).requires_grad_()
    covariance = double([[[1, 0.2], [0.2, 0.5]], [[0.4, -0.1], [-0.1, 0.3]], [[2, 0], [0, 1]]]).requires_grad_()
    logits = double(FEATURES) @ weight.T + bias
    close(logits, [[0.15, 0.8, 1.5], [0.5, -0.45, -0.75], [0.99, 0.22, -0.16], [-0.75, 0.4, 1.7]])

    recipe = DPAEI(create_backbone("resnet20", num_classes=3, seed=0), np.array(FEW), Augmentation())
    criterion = in_float64(recipe, FEW).implicit_loss
    shown = augmented(logits, weight, covariance, LABELS, 0.4)
    expected = [
        [-0.08643540225, 0.8488, 1.664],
        [0.544, -0.80355339059, -0.7212],
        [1.446, 0.316, -0.66],
        [-0.98643540225, 0.4488, 1.864],
    ]
    close(shown - torch.eye(3)[LABELS] * criterion.margins, expected, 1e-10)
    close(criterion(augmented(logits, weight, covariance, LABELS, 0.0), LABELS), 2.107852381145258)
    loss = criterion(shown, LABELS)
    close(loss, 2.3602537765467524)
    loss.backward()
    close(
        weight.grad,
        [
            [1.44016811845706, -0.31017095228601926],
            [0.30050816292233157, 0.21788812568708477],
            [-1.7406762813793917, 0.09228282659893455],
        ],
    )
    close(bias.grad, [0.5638392622114324, 0.02865403853394797, -0.5924933007453803])
    corners = [
        (0.007154149300624073, -0.009079725354209815, 0.011555214785406848),
        (0.004928534239866424, -0.006850465353192637, 0.009733362023181959),
        (0.07089189925746826, -0.08729054693202686, 0.1077888565252251),
    ]
    close(covariance.grad, [[[a, b], [b, d]] for a, b, d in corners])


def test_loss_with_diagonal_covariance():
    weight, variances = torch.tensor(WEIGHT), torch.tensor([[1, 0.5], [0.4, 0.3], [2, 1]])
    logits = torch.tensor(FEATURES) @ weight.T + torch.tensor(BIAS)
    criterion = CrossEntropy(FEW, weight=effective_number_weights(FEW))
    shown = augmented(logits, weight, variances, LABELS, 0.4)
    expected = [[0.15, 0.868, 1.728], [0.5344, -0.45, -0.7276], [1.446, 0.316, -0.16], [-0.75, 0.468, 1.928]]
    close(shown, expected, 1e-6)
    close(criterion(shown, LABELS), 1.9629693, 1e-6)
    close(criterion(augmented(logits, weight, variances, LABELS, 0.0), LABELS), 1.7232063, 1e-6)


class Probe(Backbone):
    """A linear classifier of features that are given."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
        with torch.no_grad():
            self.fc.double()
            self.fc.weight.copy_(double([[0.5, -0.2, 0.1], [0.1, 0.4, -0.3], [-0.3, 0.8, 0.2], [0.25, 0.05, -0.6]]))
            self.fc.bias.copy_(double([0.05, -0.1, 0.2, 0]))

    @property
    def classifier(self):
        return self.fc

    def features(self, images):
        return images


@META_STEPS
def test_linear_classifier_on_features(meta_step):
    counts = np.array([1000, 100, 20, 5])
    recorded = Recorded(meta_step)
    # an epoch whose ratio is 0.3
    settings = Augmentation(0.6, 0.1, 0.5, Timing(0, 200), margins=False, diagonal=True)
    recipe = in_float64(DPAEI(Probe(), counts, settings, meta_step=recorded), counts, margins=False)
    recipe.inner_rate = lambda _epoch: 1.0
    statistics = recipe.statistics
    statistics.covariance.copy_(double([[1, 0.5, 0.2], [0.4, 0.3, 0.1], [2, 1, 0.6], [0.1, 0.2, 0.3]]))
    statistics.mean.copy_(double([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9], [1, 1.1, 1.2]]))
    statistics.count.copy_(torch.tensor([10, 4, 2, 1]))
    optimiser = create_sgd(recipe, lr=0.5, momentum=0.9, weight_decay=5e-4, nesterov=True)
    meta = double([[0.2, 1, -0.4], [1.1, 0.4, 0.6], [-0.3, 0.7, 1.2], [0.9, -0.6, 0.1]])
    partner = Batch(meta, torch.arange(4), torch.arange(4), 4)

    def step(features, labels):
        optimiser.zero_grad()
        output = recipe(Batch(double(features), torch.tensor(labels), torch.arange(4), 4, partner), clock(100))
        output.loss.backward()
        optimiser.step()
        return output.loss

    loss = step([[1, 2, 0.5], [0.5, -1, 1], [2, 0.3, -0.7], [-1, 1.5, 0.2]], [0, 1, 2, 0])
    close(recorded.found.training_loss, 2.4366525691257777)
    close(recorded.found.meta_loss, 1.7126569572679449)
    close(
        recorded.found.gradient,
        [
            [0.0005310801145648103, -0.0012251385338077308, -0.00004552452772252274],
            [-0.0006472421856144889, -0.0016201845435405622, -0.0013917722549608475],
            [0.028531319412347714, -0.007459314077223329, 0.01002584650549826],
            [0, 0, 0],
        ],
        1e-13,
    )
    close(
        recorded.corrected(),
        [
            [0.9999468919885435, 0.5001225138533808, 0.20000455245277227],
            [0.4000647242185615, 0.30016201845435403, 0.10013917722549609],
            [1.9971468680587652, 1.0007459314077223, 0.5989974153494502],
            [0.1, 0.2, 0.3],
        ],
    )
    close(loss, 2.436544903596017)
    close(
        recipe.backbone.fc.weight,
        [
            [-0.28170381986298587, -0.059150194853817784, 0.23884928012789802],
            [-0.1454980330303998, 0.2265890817755816, -0.05659838779841386],
            [1.3641716012563392, 0.8308356146708474, -0.38141506125297037],
            [-0.3872309983629536, 0.05122674840738875, -0.4005508310765137],
        ],
    )
    close(recipe.backbone.fc.bias, [-0.29648948226302024, -0.11336968623065061, 0.8563566292099039, -0.296568710716233])
    close(
        statistics.covariance,
        [
            [1.0013888888888889, 0.760763888888889, 0.1707638888888889],
            [0.3216, 0.6, 0.1056],
            [1.7088888888888891, 0.7222222222222223, 0.968888888888889],
            [0.1, 0.2, 0.3],
        ],
    )
    assert statistics.count.tolist() == [12, 5, 3, 1]

    loss = step([[0.3, 0.2, 1.5], [1.5, -2, 0], [1, 1.3, 0.7], [-0.5, 0.5, 0.9]], [3, 1, 0, 0])
    close(recorded.found.training_loss, 2.5491438450052333)
    close(
        recorded.corrected(),
        [
            [1.0014774046329638, 0.7607899700209165, 0.17078940414382865],
            [0.3223196748145299, 0.6000529063448166, 0.1056215934944899],
            [1.7088888888888891, 0.7222222222222223, 0.968888888888889],
            [0.10959322006702304, 0.1989813079970602, 0.29979244337145444],
        ],
    )
    close(loss, 2.5513524179806755)
    close(recipe.backbone.fc.weight[0], [-0.6725119036190822, -0.01652496963736067, 0.012562381503514103])
    close(recipe.backbone.fc.weight[3], [-0.3857198104996905, 0.24572039424460101, 0.939368392777152])
    close(recipe.backbone.fc.bias, [-0.6276125454112585, -0.2363547529188168, 0.6146436175791794, 0.399150839594646])
    close(statistics.covariance[0], [0.9420918367346939, 0.6988265306122451, 0.1773979591836735])
    close(statistics.covariance[1], [0.43, 1.1722222222222225, 0.15222222222222223])
    close(statistics.covariance[3], [0.1725, 0.3025, 0.1725])
    close(statistics.mean[0], [0.10714285714285715, 0.5214285714285714, 0.37857142857142856])
    assert statistics.count.tolist() == [14, 6, 3, 2]


def published_resnet32():
    """The network with weights by a formula."""
    network = create_backbone("resnet32", num_classes=10, seed=0).double()
    for k, (name, parameter) in enumerate(network.named_parameters()):
        values = torch.sin(0.37 * torch.arange(parameter.numel(), dtype=torch.float64) + 0.9 * k)
        if parameter.dim() > 1:
            values = values * math.sqrt(2 / (parameter.numel() / parameter.shape[0]))
        else:
            values = 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
        parameter.data.copy_(values.view_as(parameter))
    return network


def pictures(shift):
    j = torch.arange(6 * 3 * 32 * 32, dtype=torch.float64)
    return (torch.sin(0.011 * j + shift) + 0.5 * torch.cos(0.0007 * j * (1 + shift))).view(6, 3, 32, 32)


def published_batch(t, partner=None):
    return Batch(pictures(0.1 * t), (t + 3 * torch.arange(6)) % 10, torch.arange(6), 6, partner)


def norm_of_parameters(recipe):
    return torch.sqrt(sum(each.detach().square().sum() for each in recipe.backbone.parameters()))


IMPLICIT = [
    # L1, L2, loss, norm and sum of S', norm of G
    (2.674098957198916, 2.5508851525647014, 2.672224283489107, 0.010179687233898182, -0.000258666011634, 0.10179687233898184),
    (2.407572704593327, 2.681905318058353, 2.4041848526994043, 0.05204037048781529, 0.007971495057329, 0.5204037048781526),
    (6.777307377608198, 2.6858600842295925, 6.777086619028357, 9.94777640282808, 206.30400228981983, 0.03270794248528413),
]
AFTER = [
    # norm of S, sum of traces, norm of means, norm of parameters, first weights of the classifier, first running means
    (
        0,
        0,
        30.995848034285846,
        47.89387445023867,
        [0.159064933284966, 0.12062107526075677, 0.0658303924514625],
        [0.00020035146810425857, -0.0005774135526061549],
    ),
    (
        9.94777586511518,
        16.835607312777466,
        40.58324107561193,
        47.89472109003255,
        [0.15876899765055885, 0.12033211808071861, 0.06561802135076665],
        [0.0019917990829936075, -0.0030202159880680654],
    ),
    (
        47.0257684778925,
        101.94577494571924,
        44.53500148494878,
        47.89615060045617,
        [0.15806653830626477, 0.11978073120564145, 0.06492868880619537],
        [0.0020331087299578507, -0.004516296294247068],
    ),
]
PER_CLASS = [0.00173508564, 0, 0.000926732888, 0.00333623571, 0, 0.0041773488, 0.0120966373, 0, 0, 0.100914937]


@META_STEPS
def test_implicit_stage(meta_step):
    recorded = Recorded(meta_step)
    recipe = in_float64(DPAEI(published_resnet32(), CIFAR10, Augmentation(), meta_step=recorded), CIFAR10)
    optimiser = create_sgd(recipe, lr=0.001, momentum=0.9, weight_decay=5e-4, nesterov=True)
    partner = Batch(pictures(1.7), torch.tensor([1, 3, 5, 7, 9, 0]), torch.arange(6), 6)
    for t, (losses, after) in enumerate(zip(IMPLICIT, AFTER, strict=True)):
        optimiser.zero_grad()
        output = recipe(published_batch(t, partner), clock(165))
        output.loss.backward()
        optimiser.step()
        found, corrected, statistics = recorded.found, recorded.corrected(), recipe.statistics
        if t == 0:
            expected = [
                0.3315789604940488,
                -0.2134170288310936,
                -0.4057131719287969,
                0.037324719244901605,
                0.2882216321699056,
                -0.12438470391335776,
                -0.48017399377561776,
                -0.1370619000561898,
                0.3339444021405805,
                0.15159800360209497,
            ]
            close(output.logits[0], expected, 1e-11)
            close(found.gradient.norm(dim=(1, 2)), PER_CLASS, 1e-9)
        of_s = (corrected.norm(), corrected.sum(), found.gradient.norm())
        for value, expected in zip((found.training_loss, found.meta_loss, output.loss, *of_s), losses, strict=True):
            close(value, expected, 1e-9)
        close(output.parts["correction"], 0.1 * losses[-1], 1e-9)
        traces = torch.diagonal(statistics.covariance, dim1=1, dim2=2).sum()
        network = recipe.backbone
        states = (
            statistics.covariance.norm(),
            traces,
            statistics.mean.norm(),
            norm_of_parameters(recipe),
            network.linear.weight[0, :3],
            network.bn1.running_mean[:2],
        )
        for value, expected in zip(states, after, strict=True):
            close(value, expected, 1e-9)
        assert int(network.bn1.num_batches_tracked) == t + 1
    assert recipe.statistics.count.tolist() == [2, 2, 2, 2, 2, 2, 2, 2, 1, 1]


def test_explicit_stage():
    mix = Mix(0.3, torch.tensor([2, 0, 1, 5, 3, 4]))
    recipe = in_float64(DPAEI(published_resnet32(), CIFAR10, Augmentation(), mixing=lambda *_: mix), CIFAR10)
    optimiser = create_sgd(recipe, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    for t, expected in enumerate((2.315990972918973, 5.703231508327676)):
        optimiser.zero_grad()
        output = recipe(published_batch(t), clock(3))
        output.loss.backward()
        optimiser.step()
        close(output.loss, expected, 1e-9)
        assert output.labels.tolist() == published_batch(t).labels.tolist()
    network = recipe.backbone
    close(norm_of_parameters(recipe), 50.668443729113356, 1e-9)
    close(network.linear.weight[0, :3], [0.2080558035726974, 0.17560422925496294, 0.10347711435126594], 1e-9)
    close(network.conv1.weight.flatten()[:3], [-0.06013184587672695, 0.0347525355204763, 0.11800591928666165], 1e-9)
    close(network.bn1.running_mean[:2], [-0.0013212479422659085, 0.0017537679171865466], 1e-9)
    close(network.bn1.running_var[:2], [0.8815825269732334, 0.8490191404000472], 1e-9)
    assert not recipe.statistics.count.any()


def test_mixup_draws():
    for seed, expected in (
        (0, [(0.8637616038322449, [1, 0, 3, 2]), (0.3324604630470276, [1, 3, 0, 2])]),
        (42, [(0.5578953623771667, [2, 3, 0, 1]), (0.8934777975082397, [2, 0, 1, 3])]),
    ):
        generator = torch.Generator().manual_seed(seed)
        for share, partners in expected:
            mix = draw_mix(generator, 4)
            assert mix.share == share
            assert mix.partners.tolist() == partners
    mixed = blended(torch.arange(12.0).view(4, 3), draw_mix(torch.Generator().manual_seed(0), 4))
    close(mixed[0], [0.408715189, 1.408715248, 2.408715248], 1e-8)
    logits = torch.tensor([[2.0, 1, 0], [0, 0.5, -1]])
    close(mixed_loss(CrossEntropy([1, 1, 1]), logits, torch.tensor([0, 2]), torch.tensor([1, 1]), 0.3), 1.0808682, 1e-7)


@pytest.mark.parametrize(("classes", "parameters"), [(10, 464_154), (100, 470_004)])
def test_sizes(classes, parameters):
    network = create_backbone("resnet32", num_classes=classes, seed=0)
    assert sum(each.numel() for each in network.parameters()) == parameters
    assert len(list(network.parameters())) == 95
