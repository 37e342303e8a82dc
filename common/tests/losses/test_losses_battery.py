"""Every loss against a second computation in plain Python, and in the corners of its domain."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.losses import LOSSES, WeightedLoss, create_loss

COUNTS = np.array([500, 100, 20, 5])
WEIGHTS = [0.5, 1.0, 3.0, 7.0]
# Every loss as made by default, and again wherever an option changes its formula.
CASES = [
    ("ce", {}),
    ("focal", {}),
    ("focal", {"gamma": 0.0}),
    ("focal", {"gamma": 0.5}),
    ("class_balanced", {}),
    ("class_balanced", {"beta": 0.9}),
    ("ldam", {}),
    ("ldam", {"max_margin": 0.3, "scale": 1.0}),
    ("balanced_softmax", {}),
    ("logit_adjustment", {}),
    ("logit_adjustment", {"tau": 1.5}),
]
WEIGHTED = [name for name, loss in LOSSES.items() if issubclass(loss, WeightedLoss)]
NEEDS_COUNTS = ["class_balanced", "ldam", "balanced_softmax", "logit_adjustment"]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{options}" for name, options in CASES])
every_loss = pytest.mark.parametrize("name", list(LOSSES))


def naive_losses(name, options, counts, logits, labels):
    """The loss of each sample and the weight of each class, with scalars only."""
    weights = [1.0] * len(counts)
    if name == "class_balanced":
        beta = options.get("beta", 0.9999)
        raw = [(1 - beta) / (1 - beta ** int(n)) for n in counts]
        weights = [len(raw) * value / sum(raw) for value in raw]
    losses = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if name == "ldam":
            margin = options.get("max_margin", 0.5) * counts[label] ** -0.25 / max(n**-0.25 for n in counts.tolist())
            row = [options.get("scale", 30.0) * (z - margin * (c == label)) for c, z in enumerate(row)]
        if name in ("balanced_softmax", "logit_adjustment"):
            row = [z + options.get("tau", 1.0) * math.log(n / sum(counts)) for z, n in zip(row, counts.tolist(), strict=True)]
        top = max(row)
        log_p = row[label] - top - math.log(sum(math.exp(z - top) for z in row))
        loss = -log_p
        if name == "focal":
            loss *= (1 - math.exp(log_p)) ** options.get("gamma", 2.0)
        losses.append(loss)
    return losses, weights


def naive_mean(losses, weights, labels):
    chosen = [weights[label] for label in labels.tolist()]
    return sum(w * loss for w, loss in zip(chosen, losses, strict=True)) / sum(chosen)


def batch(dtype=torch.float64, size=16, num_classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, num_classes, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(num_classes, (size,), generator=generator)


def test_the_battery_covers_every_loss():
    assert {name for name, _ in CASES} == set(LOSSES)


@every_case
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 1e-5), (torch.float16, 1e-5)]
)
def test_equals_the_naive_computation_in_every_precision(name, options, dtype, tolerance):
    logits, labels = batch(dtype)
    loss = create_loss(name, class_counts=COUNTS, **options)
    losses, weights = naive_losses(name, options, COUNTS, logits.double(), labels)
    per_sample, mean = loss.per_sample(logits, labels), loss(logits, labels)
    expected_dtype = torch.promote_types(dtype, torch.float32)
    assert per_sample.dtype == mean.dtype == expected_dtype
    assert mean.shape == ()
    assert per_sample.tolist() == pytest.approx(losses, rel=tolerance, abs=1e-7)
    assert mean.item() == pytest.approx(naive_mean(losses, weights, labels), rel=tolerance)


@every_case
@settings(derandomize=True, deadline=None, max_examples=15)
@given(
    counts=st.lists(st.integers(1, 2000), min_size=1, max_size=6),
    size=st.integers(1, 5),
    spread=st.floats(0.1, 20.0),
    seed=st.integers(0, 1000),
)
def test_equals_the_naive_computation_for_any_counts(name, options, counts, size, spread, seed):
    logits, labels = batch(size=size, num_classes=len(counts), seed=seed)
    logits = spread * logits
    losses, weights = naive_losses(name, options, np.array(counts), logits, labels)
    value = create_loss(name, class_counts=counts, **options)(logits, labels).item()
    assert value == pytest.approx(naive_mean(losses, weights, labels), rel=1e-5, abs=1e-5)


@every_case
def test_gradients_are_those_of_the_formula(name, options):
    logits, labels = batch(size=5)
    loss = create_loss(name, class_counts=COUNTS, **options)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_(), eps=1e-7, atol=1e-5)


@every_case
def test_gradients_reach_low_precision_logits_in_their_own_precision(name, options):
    logits, labels = batch(torch.bfloat16)
    create_loss(name, class_counts=COUNTS, **options)(logits.requires_grad_(), labels).backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_huge_logits_keep_value_and_gradient_finite(name, options, dtype, right):
    labels = torch.tensor([0, 1, 2, 3])
    logits = torch.full((4, 4), -1e4, dtype=dtype)
    logits[torch.arange(4), labels if right else (labels + 1) % 4] = 1e4
    value = create_loss(name, class_counts=COUNTS, **options)(logits.requires_grad_(), labels)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    scale = options.get("scale", 30.0) if name == "ldam" else 1.0
    assert value.item() == pytest.approx(0.0 if right else 2e4 * scale, rel=0.01, abs=1e-6)


@every_case
def test_one_class_has_no_loss(name, options):
    logits = torch.tensor([[3.0], [-2.0]], requires_grad=True)
    value = create_loss(name, class_counts=[7], **options)(logits, torch.tensor([0, 0]))
    value.backward()
    assert value.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", NEEDS_COUNTS)
def test_a_class_without_images_is_an_error_where_the_loss_is_made_from_counts(name):
    with pytest.raises(UserError, match=r"no training image of class 1, 3:.*\n.*ce, focal"):
        create_loss(name, class_counts=[500, 0, 20, 0])


@pytest.mark.parametrize("name", sorted(set(LOSSES) - set(NEEDS_COUNTS)))
def test_a_class_without_images_is_nothing_special_elsewhere(name):
    logits, labels = batch()
    loss, full = (create_loss(name, class_counts=counts) for counts in ([500, 0, 20, 0], COUNTS))
    assert torch.equal(loss(logits, labels), full(logits, labels))


def test_the_message_about_many_empty_classes_stays_short():
    with pytest.raises(UserError, match="class 1, 2, 3, 4, 5 and 93 more:"):
        create_loss("balanced_softmax", class_counts=[10] + [0] * 98 + [1])


@every_loss
def test_an_empty_batch_has_no_loss_and_no_gradient(name):
    logits = torch.zeros(0, 4, requires_grad=True)
    value = create_loss(name, class_counts=COUNTS)(logits, torch.zeros(0, dtype=torch.int64))
    value.backward()
    assert value.item() == 0.0
    assert logits.grad is not None


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_make_a_weighted_mean(name):
    logits, labels = batch()
    plain = create_loss(name, class_counts=COUNTS)
    weighted = create_loss(name, class_counts=COUNTS)
    weighted.set_class_weights(WEIGHTS)
    expected = naive_mean(plain.per_sample(logits, labels).tolist(), WEIGHTS, labels)
    assert weighted(logits, labels).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in WEIGHTED if name != "class_balanced"])
def test_weights_given_at_construction_equal_weights_set_later(name):
    logits, labels = batch()
    later = create_loss(name, class_counts=COUNTS)
    later.set_class_weights(torch.tensor(WEIGHTS))
    assert torch.equal(create_loss(name, class_counts=COUNTS, weight=WEIGHTS)(logits, labels), later(logits, labels))


@pytest.mark.parametrize("name", WEIGHTED)
def test_without_weights_and_with_equal_weights_the_mean_is_the_plain_mean(name):
    logits, labels = batch(torch.float32)
    loss = create_loss(name, class_counts=COUNTS)
    loss.set_class_weights(None)
    plain = loss(logits, labels)
    assert torch.equal(plain, loss.per_sample(logits, labels).mean())
    loss.set_class_weights([4.0] * 4)
    assert torch.equal(loss(logits, labels), plain)


@pytest.mark.parametrize("name", WEIGHTED)
def test_setting_weights_keeps_the_buffer(name):
    loss = create_loss(name, class_counts=COUNTS)
    buffer = loss.weight
    loss.set_class_weights(np.array(WEIGHTS))
    assert loss.weight is buffer
    assert buffer.tolist() == WEIGHTS


@pytest.mark.parametrize("weight", [[1.0, 2.0], [1.0, 2.0, 3.0, -1.0], [1.0, 2.0, 3.0, math.nan], [1.0, 2.0, 3.0, math.inf]])
def test_impossible_weights_are_refused_and_change_nothing(weight):
    loss = create_loss("ce", class_counts=COUNTS, weight=WEIGHTS)
    with pytest.raises(ValueError, match="class weights"):
        loss.set_class_weights(weight)
    assert loss.weight.tolist() == WEIGHTS


def test_balanced_softmax_takes_no_weights():
    assert not hasattr(create_loss("balanced_softmax", class_counts=COUNTS), "set_class_weights")
    with pytest.raises(UserError, match="'balanced_softmax' has no option 'weight'; its options: none"):
        create_loss("balanced_softmax", class_counts=COUNTS, weight=WEIGHTS)


@every_loss
def test_the_state_dict_is_empty_and_the_buffers_follow_the_module(name):
    loss = create_loss(name, class_counts=COUNTS)
    assert not loss.state_dict()
    assert all(buffer.device.type == "meta" for buffer in loss.to("meta").buffers())


@every_case
def test_autocast_changes_nothing(name, options):
    logits, labels = batch(torch.bfloat16)
    loss = create_loss(name, class_counts=COUNTS, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(logits, labels)
    assert torch.equal(inside, loss(logits, labels))


@every_loss
def test_compiles_into_one_graph_that_survives_new_weights(name):
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    logits, labels = batch(torch.float32)
    loss = create_loss(name, class_counts=COUNTS)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler says about its own parts
        compiled = torch.compile(loss, backend=backend, fullgraph=True)
        assert torch.equal(compiled(logits, labels), loss(logits, labels))
        if isinstance(loss, WeightedLoss):
            loss.set_class_weights(WEIGHTS)
            assert torch.equal(compiled(logits, labels), loss(logits, labels))
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("focal", {"gamma": -1.0}, "gamma is a number >= 0, got -1.0"),
        ("focal", {"gamma": math.nan}, "gamma is a number >= 0, got nan"),
        ("class_balanced", {"beta": 1.0}, r"beta .* lies in \[0, 1\), got 1.0"),
        ("ldam", {"max_margin": -0.1}, "margin is >= 0"),
        ("ldam", {"scale": 0.0}, "scale > 0"),
        ("logit_adjustment", {"tau": math.inf}, "tau is a finite number"),
        ("ce", {"gamma": 2.0}, "loss 'ce' has no option 'gamma'; its options: weight"),
    ],
)
def test_impossible_options_are_named(name, options, message):
    with pytest.raises(UserError, match=message):
        create_loss(name, class_counts=COUNTS, **options)


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(
        UserError, match="'Focal'; choose one of ce, focal, class_balanced, ldam, balanced_softmax, logit_adjustment"
    ):
        create_loss("Focal", class_counts=COUNTS)


@every_loss
@pytest.mark.parametrize("counts", [[], [[1, 2]], [1.5, 2.0], [3, -1]], ids=["none", "matrix", "fractions", "negative"])
def test_things_that_are_no_counts_are_refused(name, counts):
    with pytest.raises(ValueError, match="class counts are non-negative integers"):
        create_loss(name, class_counts=counts)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_case
def test_on_a_gpu_it_gives_the_same_value_without_waiting_for_the_device(name, options):
    logits, labels = batch(torch.float32)
    expected = create_loss(name, class_counts=COUNTS, **options)(logits, labels)
    loss = create_loss(name, class_counts=COUNTS, **options).cuda()
    logits, labels = logits.cuda().requires_grad_(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        value = loss(logits, labels)
        value.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
