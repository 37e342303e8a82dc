"""CADEL's losses against the authors' numbers, a naive re-computation in float64, and saturated logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail_cadel.losses import (
    BinaryCrossEntropy,
    Weighting,
    cascade_binary_cross_entropy,
    cascade_cross_entropy,
    ensemble_weights,
)

few = settings(max_examples=30, derandomize=True, deadline=None)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
PARTNERS = torch.tensor([3, 0, 5, 1, 2, 4])
SHARE = 0.3
MANY_BINS, FEW_BINS = (Weighting(8, 1.0, 2.0), 0.75), (Weighting(4, 2.0, 1.0), 0.0)


def published_logits():
    i, k, j = torch.arange(6.0, dtype=torch.float64), torch.arange(3.0), torch.arange(4.0)
    return 3 * torch.sin(1 + 1.7 * i[:, None, None] + 0.9 * j.double() + 2.3 * k.double()[:, None])


def of_both(loss, logits, setting, *, mixed):
    weighting, plain = setting
    first = loss(logits, LABELS, plain, weighting)
    if not mixed:
        return first
    assert LABELS[PARTNERS].tolist() == [3, 0, 1, 1, 2, 0]
    return SHARE * first + (1 - SHARE) * loss(logits, LABELS[PARTNERS], plain, weighting)


SOFTMAX, SIGMOID = cascade_cross_entropy, cascade_binary_cross_entropy


@pytest.mark.parametrize(
    ("loss", "setting", "mixed", "heads", "total", "gradient"),
    [
        (
            SOFTMAX,
            MANY_BINS,
            False,
            [2.4523129554, 3.9338566928, 3.5441271794],
            9.9302968276,
            [-0.2234762573, 0.0134390429, 0.1044729767, 0.1055642377],
        ),
        (
            SOFTMAX,
            MANY_BINS,
            True,
            [3.1983777218, 3.9870359439, 2.6081587257],
            9.7935723914,
            [-0.0663156416, 0.0132450773, 0.1029651193, -0.0498945550],
        ),
        (
            SOFTMAX,
            FEW_BINS,
            False,
            [3.6784694331, 6.1643939928, 5.2613846787],
            15.1042481046,
            [-0.3317585675, 0.0199507441, 0.1550939036, 0.1567139199],
        ),
        (
            SOFTMAX,
            FEW_BINS,
            True,
            [4.7975665827, 6.1039557431, 3.9201897441],
            14.8217120699,
            [-0.0984252342, 0.0199507441, 0.1550939036, -0.0766194135],
        ),
        (
            SIGMOID,
            MANY_BINS,
            False,
            [4.9857578523, 6.2891346537, 7.0553430113],
            18.3302355173,
            [-0.2052249916, 0.1548804101, 0.2211883157, 0.2213329235],
        ),
        (
            SIGMOID,
            MANY_BINS,
            True,
            [5.6736258128, 6.4221422563, 6.0307826369],
            18.1265507060,
            [-0.0405831026, 0.1516916943, 0.2166344365, 0.0563594004],
        ),
        (
            SIGMOID,
            FEW_BINS,
            False,
            [6.9069980874, 8.2688262908, 11.2206546502],
            26.3964790284,
            [-0.3380176515, 0.2550971599, 0.3643101868, 0.3645483643],
        ),
        (
            SIGMOID,
            FEW_BINS,
            True,
            [7.4629361451, 8.9587498067, 9.0595487348],
            25.4812346866,
            [-0.0708825392, 0.2295874335, 0.3278791532, 0.0947601796],
        ),
    ],
)
def test_published_losses(loss, setting, mixed, heads, total, gradient):
    logits = published_logits().requires_grad_()
    found = of_both(loss, logits, setting, mixed=mixed)
    found.sum().backward()
    # the weights behind the second kind of numbers were float32
    error = {"rel": 1e-7} if loss is SIGMOID else {"abs": 1e-10}
    assert found.tolist() == pytest.approx(heads, **error)
    assert float(found.sum().detach()) == pytest.approx(total, **error)
    assert logits.grad[0, 2].tolist() == pytest.approx(gradient, **error)


def confidences(function):
    return function(published_logits()).gather(2, LABELS[:, None, None].expand(-1, 3, 1)).squeeze(2)


def test_published_weights():
    confidence = confidences(lambda logits: logits.softmax(dim=2))
    assert confidence[0].tolist() == pytest.approx([0.3839165, 0.52314725, 0.0047243], abs=1e-8)
    means = [0.30392935, 0.19924858, 0.13966175, 0.36044606, 0.26600282, 0.12222691]
    assert confidence.mean(dim=1).tolist() == pytest.approx(means, abs=1e-8)
    a, b, c = 2.16666667, 2.33333333, 2.5
    expected = [[a, c, c, a, a, c], [b, c, a, c, b, c], [c, b, b, c, c, a]]
    for head, weights in enumerate(expected):
        assert ensemble_weights(confidence, MANY_BINS[0])[:, head].tolist() == pytest.approx(weights, abs=1e-8)
    a, b, c = 1.33333333, 1.66666667, 2.33333333
    expected = [[a, c, c, c, a, c], [b, c, c, c, b, c], [2.0] * 6]
    for head, weights in enumerate(expected):
        assert ensemble_weights(confidence, FEW_BINS[0])[:, head].tolist() == pytest.approx(weights, abs=1e-8)


def test_published_weights_of_sigmoids():
    confidence = confidences(torch.sigmoid)
    means = [0.48016593, 0.46637847, 0.46818722, 0.60095052, 0.48786872, 0.51705997]
    assert confidence.mean(dim=1).tolist() == pytest.approx(means, abs=1e-8)
    for (weighting, _), a, b in ((MANY_BINS, 2.66666667, 2.33333333), (FEW_BINS, 2.33333333, 1.66666667)):
        assert ensemble_weights(confidence, weighting)[:, 2].tolist() == pytest.approx([a, a, a, b, a, b], abs=1e-8)


def test_the_published_softmax_loss_weights_only_the_mean():
    logits = published_logits()
    means = [F.cross_entropy(logits[:, head], LABELS) for head in range(3)]
    assert [float(mean) for mean in means] == pytest.approx([1.8392347165, 2.9199761019, 2.6306923393], abs=1e-10)
    found = cascade_cross_entropy(logits, LABELS, 0.75, Weighting(8, 1.0, 2.0))
    expected = [float(mean) * (0.75 + 0.25 * w) for mean, w in zip(means, (7 / 3, 43 / 18, 43 / 18), strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_own_weight_of_each_sample():
    found = cascade_cross_entropy(published_logits(), LABELS, 0.75, Weighting(8, 1.0, 2.0, per_sample=True))
    assert found.tolist() == pytest.approx([2.4865669509, 3.9759074482, 3.5637972074], abs=1e-10)


def one_sample(logits, *, dtype=torch.float32):
    return torch.tensor(logits, dtype=dtype)[None, None].requires_grad_()


@pytest.mark.parametrize(
    ("logits", "loss"),
    [
        ([2.0, -1.0, 0.5], 2.8285333655),
        ([16.5, -3.0, 1.0], 2.7236984),
        ([17.0, -3.0, 1.0], 2.7236981),
        ([-30.0, -30.0, 1.0], 62.6265221),
        ([1.0, 18.0, 1.0], 2 * (math.log1p(math.exp(-1)) + math.log1p(math.exp(18)) + math.log1p(math.exp(1)))),
    ],
)
def test_saturated_sigmoids(logits, loss):
    zero = torch.tensor([0])
    precise = cascade_binary_cross_entropy(one_sample(logits, dtype=torch.float64), zero, 0.5, Weighting())
    assert precise.item() == pytest.approx(loss, rel=1e-7)
    given_logits = one_sample(logits)
    found = cascade_binary_cross_entropy(given_logits, zero, 0.5, Weighting())
    found.sum().backward()
    assert found.item() == pytest.approx(loss, rel=3e-7)
    assert torch.isfinite(given_logits.grad).all()
    if logits[0] == -30:
        assert given_logits.grad[0, 0].tolist() == pytest.approx([-2.0, 1.8715e-13, 1.4621], rel=1e-4)


@pytest.mark.parametrize(("classes", "loss"), [(1000, 693.147181), (8142, 5643.604344), (365, 252.998721)])
def test_loss_of_zero_logits(classes, loss):
    logits, labels = torch.zeros(2, 3, classes), torch.tensor([0, classes - 1])
    assert cascade_binary_cross_entropy(logits, labels, 1.0, Weighting()).tolist() == pytest.approx([loss] * 3, rel=1e-6)
    assert BinaryCrossEntropy([1] * classes)(logits[:, 0], labels).item() == pytest.approx(loss, rel=1e-6)


def naive(logits, labels, plain, weighting, *, binary):
    """One number after another, as the paper's text says it."""
    size, heads, classes = len(logits), len(logits[0]), len(logits[0][0])

    def sigmoid(value):
        return 1 / (1 + math.exp(-value))

    def probability(z, y):
        return sigmoid(z[y]) if binary else math.exp(z[y]) / sum(map(math.exp, z))

    def loss_of(z, y):
        if not binary:
            return -math.log(probability(z, y))
        return -sum(math.log(sigmoid(z[c]) if c == y else 1 - sigmoid(z[c])) for c in range(classes))

    losses = []
    for k in range(heads):
        means = [sum(probability(logits[i][j], labels[i]) for j in range(k + 1)) / (k + 1) for i in range(size)]
        own = [loss_of(logits[i][k], labels[i]) for i in range(size)]
        binned = [min(int(mean * weighting.bins), weighting.bins - 1) for mean in means]
        weights = [weighting.base + weighting.gamma * binned.count(each) / size for each in binned]
        if binary or weighting.per_sample:
            reweighted = sum(w * each for w, each in zip(weights, own, strict=True)) / size
        else:
            reweighted = (sum(weights) / size) * (sum(own) / size)
        losses.append(plain * sum(own) / size + (1 - plain) * reweighted)
    return losses


@few
@given(
    size=st.integers(1, 9),
    heads=st.integers(1, 4),
    classes=st.integers(1, 5),
    seed=st.integers(0, 1000),
    plain=st.floats(0, 1),
    weighting=st.builds(Weighting, st.integers(1, 12), st.floats(0, 3), st.floats(0, 3), per_sample=st.booleans()),
    binary=st.booleans(),
)
def test_naive_form(size, heads, classes, seed, plain, weighting, binary):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(size, heads, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (size,), generator=generator)
    loss = cascade_binary_cross_entropy if binary else cascade_cross_entropy
    expected = naive(logits.tolist(), labels.tolist(), plain, weighting, binary=binary)
    assert loss(logits, labels, plain, weighting).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("loss", [cascade_cross_entropy, cascade_binary_cross_entropy])
def test_gradients(loss, per_sample):
    weighting, small = Weighting(per_sample=per_sample), 1e-6
    logits = published_logits().requires_grad_()
    total = loss(logits, LABELS, 0.4, weighting).sum()
    total.backward()
    for seed in range(4):
        direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        # too short for a sample to change its bin: the weights are constants
        above, below = (loss(logits.detach() + sign * small * direction, LABELS, 0.4, weighting).sum() for sign in (1, -1))
        torch.testing.assert_close((logits.grad * direction).sum(), (above - below) / (2 * small), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", [cascade_cross_entropy, cascade_binary_cross_entropy])
def test_bfloat16_logits_are_computed_in_float32(loss):
    logits = published_logits().bfloat16()
    found = loss(logits, LABELS, 0.5, Weighting())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), loss(logits.double(), LABELS, 0.5, Weighting()), rtol=1e-5, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(logits, LABELS, 0.5, Weighting()), found)


def test_bins_hold_their_lower_edge_and_the_last_one_holds_one():
    confidence = torch.tensor([[0.0], [0.25], [0.2499999], [0.5], [1.0], [0.9999999], [float("nan")], [0.75]])
    weights = ensemble_weights(confidence, Weighting(bins=4, gamma=8.0, base=0.0))
    # of eight samples: two below 1/4, one at it, one at 1/2, three from 3/4 on
    assert weights.squeeze(1).tolist() == [2.0, 1.0, 2.0, 1.0, 3.0, 3.0, 1.0, 3.0]


def test_a_head_that_is_not_a_number_spoils_only_deeper_ensembles():
    confidence = torch.tensor([[0.1, float("nan"), 0.3], [0.1, 0.2, 0.3]])
    weights = ensemble_weights(confidence, Weighting(bins=1, gamma=1.0, base=2.0))
    assert weights.tolist() == [[3.0, 1.0, 1.0], [3.0, 2.5, 2.5]]


def test_binary_cross_entropy_is_a_mean_over_samples():
    logits = published_logits()[:, 0]
    targets = F.one_hot(LABELS, 4).double()
    expected = -(targets * logits.sigmoid().log() + (1 - targets) * (1 - logits.sigmoid()).log()).sum(dim=1)
    torch.testing.assert_close(BinaryCrossEntropy([1] * 4).per_sample(logits, LABELS), expected)
    torch.testing.assert_close(BinaryCrossEntropy([1] * 4)(logits, LABELS), expected.mean())
