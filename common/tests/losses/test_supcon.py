"""The supervised contrastive loss against its published values, a loop in plain Python and another library."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer

from longtail.errors import UserError
from longtail.losses import SupCon

FEATURES = torch.tensor([[1, 0, 0.5], [0.8, 0.3, 0.4], [-0.2, 1, 0.1], [0.1, 0.9, -0.3], [0.5, 0.5, 1]])
LABELS = torch.tensor([0, 0, 1, 1, 2])
ALIKE, DISTINCT = torch.zeros(5, dtype=torch.int64), torch.arange(5)
SECOND_FORM = {"base_temperature": 1.0, "anchors": "with_positives"}

OPTIONS = [
    {},
    {"temperature": 0.5},
    {"temperature": 0.5, "normalise": False},
    {"temperature": 0.1, **SECOND_FORM},
]
every_form = pytest.mark.parametrize("options", OPTIONS, ids=str)


def naive_loss(features, labels, *, temperature=0.07, base_temperature=0.07, normalise=True, anchors="all"):
    """The equation with scalars only; `features` are lists of views."""
    samples = [(view, label) for views, label in zip(features, labels, strict=True) for view in views]
    if normalise:
        samples = [([x / math.hypot(*view) for x in view], label) for view, label in samples]
    losses = []
    for i, (anchor, label) in enumerate(samples):
        others = [
            (sum(x * y for x, y in zip(anchor, other, strict=True)) / temperature, other_label == label)
            for k, (other, other_label) in enumerate(samples)
            if k != i
        ]
        positives = [similarity for similarity, same in others if same]
        if positives:
            top = max(similarity for similarity, _ in others)
            total = top + math.log(sum(math.exp(similarity - top) for similarity, _ in others))
            losses.append(temperature / base_temperature * (total - sum(positives) / len(positives)))
        elif anchors == "all":
            losses.append(0.0)
    return sum(losses) / len(losses) if losses else 0.0


def batch(size=7, views=None, width=4, num_classes=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shape = (size, width) if views is None else (size, views, width)
    features = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return features, torch.randint(num_classes, (size,), generator=generator)


def as_views(features):
    return (features if features.ndim == 3 else features[:, None]).double().tolist()


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        (LABELS, {}, 0.0396625),
        (LABELS, {"temperature": 0.1}, 0.1062092),
        (LABELS, {"normalise": False}, 0.2197311),
        (ALIKE, {}, 6.8181710),
        (DISTINCT, {}, 0.0),
        (LABELS, SECOND_FORM, 0.0034705),
        (LABELS, {"temperature": 0.1, **SECOND_FORM}, 0.0092933),
        (LABELS, {"temperature": 0.5, **SECOND_FORM}, 0.3197104),
        (LABELS, {"temperature": 0.1, "base_temperature": 0.1, "anchors": "with_positives"}, 0.0929330),
        (LABELS, {"temperature": 0.5, "base_temperature": 0.5, "anchors": "with_positives"}, 0.6394207),
        # The published code divides 0 by 0 here.
        (DISTINCT, SECOND_FORM, 0.0),
    ],
)
def test_values_of_the_published_code(labels, options, expected):
    assert SupCon(**options)(FEATURES, labels).item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@every_form
@settings(derandomize=True, deadline=None, max_examples=20)
@given(
    size=st.integers(1, 8),
    views=st.one_of(st.none(), st.integers(1, 3)),
    width=st.integers(1, 4),
    num_classes=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_equals_the_equation(options, size, views, width, num_classes, seed):
    features, labels = batch(size, views, width, num_classes, seed)
    expected = naive_loss(as_views(features), labels.tolist(), **options)
    assert SupCon(**options)(features, labels).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@every_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_works_in_float32_whatever_the_features_and_whatever_autocast_says(options, dtype):
    features, labels = batch(size=16, views=2, dtype=dtype)
    loss = SupCon(**options)
    value = loss(features.requires_grad_(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(features, labels)
    inside.backward()
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert torch.equal(inside, value)
    assert value.item() == pytest.approx(naive_loss(as_views(features), labels.tolist(), **options), rel=1e-5)
    assert features.grad.dtype == dtype


# That library normalises too and has no factor tau / tau_base, which is 1 here. Where all labels are equal it gives 0, for want
# of a negative; the equation does not.
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_agrees_with_pytorch_metric_learning(temperature):
    features, labels = batch(size=12, num_classes=8)
    assert {1, 2} <= set(labels.bincount().tolist())  # anchors with and without a positive
    options = {"temperature": temperature, "base_temperature": temperature}
    over_all = SupConLoss(temperature, reducer=MeanReducer())(features, labels)
    assert SupCon(**options)(features, labels).item() == pytest.approx(over_all.item(), rel=1e-6)
    # By default it averages over the anchors whose loss is not 0: those with a positive.
    over_some = SupConLoss(temperature)(features, labels)
    assert SupCon(**options, anchors="with_positives")(features, labels).item() == pytest.approx(over_some.item(), rel=1e-6)


@every_form
@pytest.mark.parametrize("views", [None, 2])
def test_gradients_are_those_of_the_equation(options, views):
    features, labels = batch(size=5, views=views)
    assert torch.autograd.gradcheck(lambda x: SupCon(**options)(x, labels), features.requires_grad_())


@every_form
@pytest.mark.parametrize("size", [0, 1, 4], ids=["empty", "one", "distinct"])
def test_without_positives_there_is_neither_loss_nor_gradient(options, size):
    features = torch.randn(size, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = SupCon(**options)(features, torch.arange(size))
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(features.grad, torch.zeros(size, 3))


@every_form
def test_a_sample_alone_has_its_own_views(options):
    features = FEATURES[:2].double()[None]
    expected = naive_loss(as_views(features), [0], **options)
    assert SupCon(**options)(features, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("length", [1e-30, 1e-12, 1e12, 1e30])
def test_the_length_of_features_does_not_matter(length):
    features = (length * FEATURES).requires_grad_()
    value = SupCon(temperature=0.01)(features, LABELS)
    value.backward()
    assert value.item() == pytest.approx(SupCon(temperature=0.01)(FEATURES, LABELS).item(), rel=1e-4)
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_large_features_that_are_not_normalised_stay_finite(dtype):
    features = (3e4 * FEATURES).to(dtype).requires_grad_()
    value = SupCon(temperature=0.01, normalise=False)(features, ALIKE)
    value.backward()
    assert value.item() > 1e9
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()


@every_form
def test_zero_features_have_finite_gradients_of_ordinary_size(options):
    features = FEATURES.clone()
    features[1] = 0
    value = SupCon(**options)(features.requires_grad_(), LABELS)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().max() < 100


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_labels_may_be_any_integers(dtype):
    assert torch.equal(SupCon()(FEATURES, (7 * LABELS).to(dtype)), SupCon()(FEATURES, LABELS))


def test_the_order_of_the_batch_does_not_matter():
    features, labels = batch(size=9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    assert SupCon()(features[order], labels[order]).item() == pytest.approx(SupCon()(features, labels).item(), rel=1e-12)


def test_compiles_into_one_graph():
    def backend(graph, _inputs):
        return graph.forward

    loss = SupCon()
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler says about its own parts
        assert torch.equal(torch.compile(loss, backend=backend, fullgraph=True)(FEATURES, LABELS), loss(FEATURES, LABELS))


@pytest.mark.parametrize("name", ["temperature", "base_temperature"])
@pytest.mark.parametrize("value", [0.0, -0.1, math.nan, math.inf])
def test_impossible_temperatures_are_refused(name, value):
    with pytest.raises(UserError, match="SupCon: temperatures are numbers > 0"):
        SupCon(**{name: value})


def test_unknown_anchors_are_refused():
    with pytest.raises(ValueError, match="one of all, with_positives, got 'some'"):
        SupCon(anchors="some")


@pytest.mark.parametrize(
    ("features", "labels"), [((4,), (4,)), ((4, 2, 3, 1), (4,)), ((4, 3), (3,)), ((4, 3), (4, 1))], ids=str
)
def test_other_shapes_are_refused(features, labels):
    with pytest.raises(ValueError, match=r"features \(B, D\) or \(B, V, D\) and labels \(B,\)"):
        SupCon()(torch.zeros(features), torch.zeros(labels, dtype=torch.int64))


def test_it_has_no_state_and_says_its_options():
    assert not SupCon().state_dict()
    assert repr(SupCon()) == "SupCon(temperature=0.07, base_temperature=0.07, normalise=True, anchors='all')"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_form
def test_on_a_gpu_it_gives_the_same_value_without_waiting_for_the_device(options):
    expected = SupCon(**options)(FEATURES, LABELS)
    features, labels = FEATURES.cuda().requires_grad_(), LABELS.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        value = SupCon(**options)(features, labels)
        value.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
