"""The numbers that the papers' own code computes."""

import numpy as np
import pytest
import torch

from longtail.losses import LDAM, BalancedSoftmax, CrossEntropy, Focal, effective_number_weights, mixed_loss

COUNTS = [500, 100, 20, 5]
LABELS = torch.tensor([0, 2, 3])
OTHER_LABELS = torch.tensor([3, 1, 3])
LAM = 0.703125
LOGITS = [[2.0, 1.0, 0.5, -1.0], [0.3, -0.2, 1.5, 0.0], [-1.0, 0.5, 0.25, 2.0]]
COSINES = [[0.8, 0.1, -0.3, 0.2], [0.05, -0.4, 0.6, 0.1], [-0.2, 0.3, 0.1, 0.45]]
WEIGHTS = effective_number_weights(COUNTS, 0.9999)

MIXES = {
    "CE": (CrossEntropy(COUNTS), LOGITS, (0.466400981, 2.033067703, 0.931505203)),
    "CE weighted": (CrossEntropy(COUNTS, weight=WEIGHTS), LOGITS, (0.403145999, 1.939642906, 0.859293461)),
    "BS": (BalancedSoftmax(COUNTS), LOGITS, (1.580381870, 4.145626068, 2.341938734)),
    "LDAM": (LDAM(COUNTS), COSINES, (3.505836248, 26.865188599, 10.440644264)),
    "LDAM weighted": (LDAM(COUNTS, weight=WEIGHTS), COSINES, (8.335408211, 22.127178192, 12.429840088)),
}
GRADIENTS = {
    "CE": [-0.03122164, 0.07473594, 0.04532963, -0.08884393],
    "CE weighted": [0.08601701, 0.03374729, 0.02046876, -0.14023305],
    "BS": [0.07341234, 0.02264573, 0.00274707, -0.09880510],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MIXES)
def test_cmo_losses_of_both_labels_and_of_the_mix(name, dtype):
    loss, rows, expected = MIXES[name]
    logits = torch.tensor(rows, dtype=dtype)
    values = (loss(logits, LABELS), loss(logits, OTHER_LABELS), mixed_loss(loss, logits, LABELS, OTHER_LABELS, LAM))
    assert [value.item() for value in values] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", GRADIENTS)
def test_cmo_gradient_of_the_mix(name):
    loss, rows, _ = MIXES[name]
    logits = torch.tensor(rows, requires_grad=True)
    mixed_loss(loss, logits, LABELS, OTHER_LABELS, torch.tensor(LAM)).backward()
    assert logits.grad[0].tolist() == pytest.approx(GRADIENTS[name], abs=1e-8)


def test_the_ends_of_the_mix_are_the_plain_losses():
    loss, rows, _ = MIXES["CE weighted"]
    logits = torch.tensor(rows)
    assert torch.equal(mixed_loss(loss, logits, LABELS, OTHER_LABELS, 1.0), loss(logits, LABELS))
    assert torch.equal(mixed_loss(loss, logits, LABELS, OTHER_LABELS, 0.0), loss(logits, OTHER_LABELS))


def test_balanced_softmax_prior():
    expected = [-0.2231435329, -1.8325815201, -3.4420192242, -4.8283138275]
    assert BalancedSoftmax(COUNTS).log_prior.tolist() == pytest.approx(expected, abs=1e-10)


def test_ldam_margins():
    assert LDAM(COUNTS).margins.tolist() == pytest.approx([0.1581138819, 0.2364353985, 0.3535533845, 0.5], abs=1e-9)
    cifar100 = LDAM((500 * 0.01 ** (np.arange(100) / 99)).astype(np.int64)).margins
    assert cifar100[[0, 49, 99]].tolist() == pytest.approx([0.158113882, 0.279782116, 0.5], abs=1e-8)
    narrow = LDAM([100, 50, 10, 2], max_margin=0.3).margins
    assert narrow.tolist() == pytest.approx([0.11281809, 0.13416408, 0.20062210, 0.30000001], abs=1e-8)


STUDY_COUNTS = [100, 50, 10, 2]
STUDY_LABELS = torch.tensor([0, 1, 2, 3, 2])
STUDY_LOGITS = torch.tensor(
    [
        [0.30, -0.10, 0.20, 0.05],
        [0.10, 0.40, -0.20, 0.00],
        [-0.05, 0.15, 0.25, 0.35],
        [0.20, 0.10, 0.00, 0.30],
        [0.6, 0.1, -0.3, 0.2],
    ]
)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (LDAM(STUDY_COUNTS, max_margin=0.3), 9.8021822),
        (LDAM(STUDY_COUNTS, max_margin=0.3, weight=effective_number_weights(STUDY_COUNTS, 0.999)), 9.9171324),
        (LDAM(STUDY_COUNTS, max_margin=0.3, weight=effective_number_weights(STUDY_COUNTS, 0.0)), 9.8021822),
        (CrossEntropy(STUDY_COUNTS), 1.3493836),
        (Focal(STUDY_COUNTS, gamma=0.0), 1.3493836),
        (Focal(STUDY_COUNTS, gamma=1.0), 1.0044928),
        (Focal(STUDY_COUNTS, gamma=2.0), 0.7540520),
    ],
)
def test_losses_of_the_rsg_study(loss, expected):
    assert loss(STUDY_LOGITS, STUDY_LABELS).item() == pytest.approx(expected, rel=1e-6)


def descend(loss):
    """Four steps of SGD on a linear model over CMO-mixed waves: the loss values on the way, and the weights at the end."""
    weight = (0.05 * torch.cos(0.1 * torch.arange(6 * 192, dtype=torch.float64))).reshape(6, 192).requires_grad_()
    bias = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([weight, bias], lr=0.1, momentum=0.9, weight_decay=2e-4)
    index = torch.arange(4 * 192, dtype=torch.float64)
    background, foreground = (wave.reshape(4, 3, 8, 8) for wave in (torch.sin(0.01 * index), torch.cos(0.013 * index)))
    labels, other_labels = torch.tensor([0, 1, 2, 0]), torch.tensor([5, 4, 3, 5])
    values = []
    for top, left, bottom, right in [(3, 5, 3, 5), (2, 1, 8, 7), (0, 2, 4, 6), (2, 4, 2, 4)]:
        images = background.clone()
        images[:, :, top:bottom, left:right] = foreground[:, :, top:bottom, left:right]
        logits = images.flatten(1) @ weight.T + bias
        values += [loss(logits, labels).item(), loss(logits, other_labels).item()]
        optimiser.zero_grad()
        mixed_loss(loss, logits, labels, other_labels, 1 - (bottom - top) * (right - left) / 64).backward()
        optimiser.step()
    return values, weight[0, :4].tolist()


@pytest.mark.parametrize(
    ("loss", "values", "weights"),
    [
        (
            CrossEntropy,
            [
                1.92980888073313,
                1.791487746146072,
                1.8772035573658548,
                2.5748672346628307,
                0.46919968001905893,
                3.826511810016014,
                0.025635644662516596,
                7.952196803105094,
            ],
            [-0.017819019244561, -0.016402319009865, -0.028081656222665, -0.027471390215972],
        ),
        (
            BalancedSoftmax,
            [
                1.2702948468825885,
                4.297681479305265,
                1.099409495825255,
                4.950464745230658,
                0.18629726953106845,
                6.149202530709715,
                0.00449913115473352,
                9.901564052468936,
            ],
            [-0.006517645648131, -0.005618420518187, -0.019644304362966, -0.019384440527665],
        ),
    ],
)
def test_cmo_training_steps(loss, values, weights):
    found_values, found_weights = descend(loss([500, 120, 100, 20, 19, 5]))
    assert found_values == pytest.approx(values, rel=1e-12)
    assert found_weights == pytest.approx(weights, abs=1e-14)
