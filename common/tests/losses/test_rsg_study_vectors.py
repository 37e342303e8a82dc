"""Class weights, margins and losses with the constants of the RSG study, on its own data sets."""

import numpy as np
import pytest
import torch

from longtail.losses import LDAM, CrossEntropy, Focal, effective_number_weights, inverse_frequency_weights

CIFAR10 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
# fmt: off
MINI_IMAGENET = [
    147, 106, 82, 82, 228, 231, 22, 409, 176, 146, 373, 351, 407, 330, 346, 231, 211, 41, 184, 297,
    404, 321, 325, 236, 319, 149, 361, 36, 230, 65, 252, 277, 62, 427, 316, 111, 446, 329, 479, 275,
    258, 321, 343, 166, 302, 367, 364, 103, 49, 13, 288, 15, 473, 69, 132, 12, 399, 260, 375, 218,
    252, 161, 142, 38, 317, 311, 453, 12, 284, 167, 38, 188, 313, 354, 75, 359, 42, 349, 178, 195,
    451, 22, 171, 60, 264, 424, 334, 313, 98, 280, 207, 119, 128, 75, 418, 151, 279, 243, 419, 161,
]
# fmt: on
SOME = [0, 38, 55]  # of mini-ImageNet's classes: the first, the largest, a smallest
COUNTS = [100, 50, 10, 2]
LABELS = torch.tensor([0, 1, 2, 3, 2])
LOGITS = torch.tensor(
    [
        [0.30, -0.10, 0.20, 0.05],
        [0.10, 0.40, -0.20, 0.00],
        [-0.05, 0.15, 0.25, 0.35],
        [0.20, 0.10, 0.00, 0.30],
        [0.6, 0.1, -0.3, 0.2],
    ]
)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (
            0.999,
            [
                *(0.1811870069, 0.1894137447, 0.2157418982, 0.2728593921, 0.3784788120),
                *(0.5605812778, 0.8688041433, 1.3861648026, 2.2584495094, 3.6883194129),
            ],
        ),
        (
            0.9999,
            [
                *(0.0506113612, 0.0768997946, 0.1211338729, 0.1950366657, 0.3188053731),
                *(0.5245898533, 0.8683489410, 1.4426272700, 2.4092230512, 3.9927238170),
            ],
        ),
        (0.0, [1.0] * 10),
    ],
)
def test_class_balanced_weights_of_cifar10(beta, expected):
    assert effective_number_weights(CIFAR10, beta).tolist() == pytest.approx(expected, rel=1e-9)


def test_inverse_class_frequencies_of_cifar10():
    expected = [
        *(0.0040236499, 0.0067127959, 0.0112016979, 0.0186798973, 0.0311910843),
        *(0.0519851406, 0.0867165922, 0.1447356071, 0.2423885469, 0.4023649879),
    ]
    # The study's weights sum to 1. A weighted mean has no use for their scale.
    assert (inverse_frequency_weights(CIFAR10) / 10).tolist() == pytest.approx(expected, rel=1e-7)


def test_weights_of_mini_imagenet():
    balanced = effective_number_weights(MINI_IMAGENET, 0.999)[SOME]
    assert balanced.tolist() == pytest.approx([0.6931808559, 0.2490007074, 7.9440477199], rel=1e-9)
    inverse = inverse_frequency_weights(MINI_IMAGENET)[SOME] / 100
    assert inverse.tolist() == pytest.approx([0.0067799612, 0.0020806979, 0.0830545241], rel=1e-7)


def test_ldam_margins_of_the_study():
    expected = [
        *(0.09486833, 0.10781820, 0.12254262, 0.13925469, 0.15829742),
        *(0.17986059, 0.20440511, 0.23233254, 0.26429823, 0.30000001),
    ]
    assert LDAM(CIFAR10, max_margin=0.3).margins.tolist() == pytest.approx(expected, abs=1e-8)
    mini = LDAM(MINI_IMAGENET, max_margin=0.3).margins[SOME]
    assert mini.tolist() == pytest.approx([0.16035675, 0.11935282, 0.3], abs=2e-8)


@pytest.mark.parametrize("share", [1.0, 0.25], ids=["sum C", "sum 1"])
def test_ldam_weighted_by_inverse_class_frequency(share):
    loss = LDAM(COUNTS, max_margin=0.3, weight=share * inverse_frequency_weights(COUNTS))
    assert loss(LOGITS, LABELS).item() == pytest.approx(9.9176588, rel=1e-6)


def test_cross_entropy_and_focal_loss_of_scaled_cosines():
    losses = [CrossEntropy(COUNTS), Focal(COUNTS, gamma=0.0)]
    assert [loss(30 * LOGITS, LABELS).item() for loss in losses] == pytest.approx([6.0302539] * 2, rel=1e-6)


def test_the_counts_are_those_of_the_published_lists():
    assert (5000 * 0.01 ** (np.arange(10) / 9)).astype(np.int64).tolist() == CIFAR10
    assert (len(MINI_IMAGENET), sum(MINI_IMAGENET)) == (100, 23192)
    assert (min(MINI_IMAGENET), max(MINI_IMAGENET)) == (12, 479)
