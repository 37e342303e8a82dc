"""The margin heads against their published values, scalars in plain Python and another library."""

import copy
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss, SphereFaceLoss

from longtail.errors import UserError
from longtail.losses import LDAM, AMSoftmax, ArcFace, SphereFace

FEATURES = torch.tensor([[1, 2, 0.5], [0.3, -0.4, 1.2], [-1, 0.5, 0.25]])
WEIGHT = torch.tensor([[0.5, 1, -0.2], [-0.3, 0.8, 0.1], [0.9, -0.6, 0.4], [0.2, 0.1, -1]])
LABELS = torch.tensor([0, 2, 3])
COSINES = torch.tensor(
    [
        [0.9222246, 0.6849175, -0.0378438, -0.0425918],
        [-0.3318623, -0.2593216, 0.6603376, -0.8858170],
        [-0.0384260, 0.7356521, -0.8325632, -0.3407342],
    ]
)
OTHERS = F.one_hot(LABELS, 4) == 0

# Every head as made by default, and again wherever an option changes its formula.
CASES = [
    (ArcFace, {}),
    (ArcFace, {"easy_margin": True}),
    (ArcFace, {"scale": 8.0, "margin": 2.0}),
    (AMSoftmax, {}),
    (SphereFace, {}),
    (SphereFace, {"margin": 3}),
]
every_case = pytest.mark.parametrize(("kind", "options"), CASES, ids=[f"{kind.__name__}-{options}" for kind, options in CASES])
every_head = pytest.mark.parametrize("kind", [ArcFace, AMSoftmax, SphereFace])


def published(kind, **options):
    head = kind(3, 4, **options)
    with torch.no_grad():
        head.weight.copy_(WEIGHT)
    return head


def at_labels(logits):
    return logits.gather(1, LABELS[:, None]).flatten().tolist()


def random_head(kind, options, *, size=6, width=4, num_classes=5, seed=0, dtype=torch.float64):
    """A head in evaluation mode, far into SphereFace's annealing, where margins count most; features and labels for it."""
    generator = torch.Generator().manual_seed(seed)
    head = kind(width, num_classes, **options).to(dtype).eval()
    with torch.no_grad():
        head.weight.copy_(torch.randn(num_classes, width, generator=generator, dtype=torch.float64))
        if kind is SphereFace:
            head.batches.fill_(5000)
    features = torch.randn(size, width, generator=generator, dtype=torch.float64).to(dtype)
    return head, features, torch.randint(num_classes, (size,), generator=generator)


def naive_logit(kind, options, feature, weight, of_label, annealing=5.0):
    """One logit with scalars only, from the angle itself."""
    length = math.hypot(*feature)
    cosine = sum(x * w for x, w in zip(feature, weight, strict=True)) / length / math.hypot(*weight)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if kind is SphereFace:
        m = options.get("margin", 4)
        piece = min(int(angle * m / math.pi), m - 1)
        psi = (-1) ** piece * math.cos(m * angle) - 2 * piece
        return length * ((annealing * cosine + psi) / (annealing + 1) if of_label else cosine)
    scale = options.get("scale", 30.0)
    if not of_label:
        return scale * cosine
    if kind is AMSoftmax:
        return scale * (cosine - options.get("margin", 0.4))
    m = options.get("margin", 0.5)
    if options.get("easy_margin", False):
        return scale * (math.cos(angle + m) if cosine > 0 else cosine)
    return scale * (math.cos(angle + m) if angle + m < math.pi else cosine - m * math.sin(m))


@pytest.mark.parametrize(
    ("head", "expected", "cross_entropy"),
    [
        (published(ArcFace), [18.7186852, 6.5840139, -22.4927692], 15.5133696),
        (published(ArcFace, easy_margin=True), [18.7186852, 6.5840139, -10.2220259], None),
        (published(AMSoftmax), [15.6667404, 7.8101287, -22.2220268], 16.3933125),
        (published(AMSoftmax, margin=0.35), [17.1667385, 9.3101292, -20.7220249], 15.4019432),
    ],
    ids=["arc", "arc-easy", "am", "am-0.35"],
)
def test_scaled_heads_of_the_published_code(head, expected, cross_entropy):
    logits = head(FEATURES, LABELS)
    assert at_labels(logits) == pytest.approx(expected, rel=1e-6)
    assert logits[OTHERS].tolist() == pytest.approx((30 * COSINES)[OTHERS].tolist(), rel=1e-5)
    if cross_entropy is not None:
        assert F.cross_entropy(logits, LABELS).item() == pytest.approx(cross_entropy, rel=1e-6)


def test_ldam_scales_the_logits_of_a_head_once_more():
    loss = LDAM([100, 50, 10, 2], max_margin=0.3)
    assert loss(published(ArcFace)(FEATURES, LABELS), LABELS).item() == pytest.approx(468.0399170, rel=1e-6)


def test_sphereface_of_the_published_code_in_its_first_batch():
    logits = published(SphereFace)(FEATURES, LABELS)
    expected = [
        [2.1106739, 1.5693432, -0.0867111, -0.0975900],
        [-0.4314210, -0.3371181, 0.8559766, -1.1515621],
        [-0.0440225, 0.8427954, -0.9538210, -0.3948206],
    ]
    assert logits.flatten().tolist() == pytest.approx([z for row in expected for z in row], rel=1e-5)
    assert F.cross_entropy(logits, LABELS).item() == pytest.approx(0.9968161, rel=1e-6)


def test_sphereface_of_the_published_code_once_annealed():
    head = published(SphereFace)
    head.batches.fill_(9999)
    logits = head(FEATURES, LABELS)
    assert at_labels(logits) == pytest.approx([1.7543306, 0.4916095, -1.0548776], rel=1e-5)
    assert F.cross_entropy(logits, LABELS).item() == pytest.approx(1.3050390, rel=1e-5)


def test_sphereface_anneals_as_the_published_code():
    expected = {
        1: 892.8571429,
        2: 806.4516129,
        3: 735.2941176,
        10: 454.5454545,
        100: 76.9230769,
        1000: 8.2644628,
        1658: 5.0010002,
        1659: 5.0,
        10**12: 5.0,
    }
    head = published(SphereFace)
    for batch, annealing in expected.items():
        head.batches.fill_(batch - 1)
        head(FEATURES, LABELS)
        assert head.batches.item() == batch
        assert head.annealing().item() == pytest.approx(annealing, rel=1e-6)
        assert head.annealing(torch.float64).item() == pytest.approx(annealing, abs=1e-7)


@every_case
@settings(derandomize=True, deadline=None, max_examples=20)
@given(size=st.integers(0, 6), width=st.integers(1, 5), num_classes=st.integers(1, 6), seed=st.integers(0, 1000))
def test_equals_the_formula_in_scalars(kind, options, size, width, num_classes, seed):
    head, features, labels = random_head(kind, options, size=size, width=width, num_classes=num_classes, seed=seed)
    logits = head(features, labels)
    assert logits.shape == (size, num_classes)
    for row, feature, label in zip(logits.tolist(), features.tolist(), labels.tolist(), strict=True):
        weights = head.weight.tolist()
        expected = [naive_logit(kind, options, feature, weight, c == label) for c, weight in enumerate(weights)]
        # Where an angle is 0 or straight, its sine is the square root of a rounding error.
        assert row == pytest.approx(expected, rel=1e-9, abs=1e-6 if width == 1 else 1e-9)


def with_weight_of(oracle, head):
    with torch.no_grad():
        oracle.W.copy_(head.weight.T)
    return oracle.double()


@pytest.mark.parametrize("margin", [0.5, 2.0], ids=["narrow", "wide"])
def test_arcface_agrees_with_pytorch_metric_learning(margin):
    head, features, labels = random_head(ArcFace, {"margin": margin}, size=50)
    oracle = with_weight_of(ArcFaceLoss(5, 4, margin=math.degrees(margin), scale=30), head)
    assert F.cross_entropy(head(features, labels), labels).item() == pytest.approx(oracle(features, labels).item(), rel=1e-6)


def test_am_softmax_agrees_with_cosface_of_pytorch_metric_learning():
    head, features, labels = random_head(AMSoftmax, {"margin": 0.35}, size=50)
    oracle = with_weight_of(CosFaceLoss(5, 4, margin=0.35, scale=30), head)
    assert F.cross_entropy(head(features, labels), labels).item() == pytest.approx(oracle(features, labels).item(), rel=1e-6)


# That library does not anneal: its true class has psi alone, the limit of lambda = 0.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:pytorch_metric_learning")
@pytest.mark.parametrize("margin", [2, 3, 4])
def test_sphereface_agrees_with_pytorch_metric_learning_but_for_the_annealing(margin, monkeypatch):
    head, features, labels = random_head(SphereFace, {"margin": margin}, size=50)
    monkeypatch.setattr(head, "annealing", lambda dtype: torch.zeros((), dtype=dtype))
    oracle = with_weight_of(SphereFaceLoss(5, 4, margin=margin), head)
    assert F.cross_entropy(head(features, labels), labels).item() == pytest.approx(oracle(features, labels).item(), rel=1e-6)


@every_case
def test_the_margin_never_helps_and_never_rises_with_the_angle(kind, options):
    head, *_ = random_head(kind, options)
    cosines = torch.cos(torch.linspace(0.0, math.pi, 500, dtype=torch.float64)).requires_grad_()
    margined = head.with_margin(cosines)
    assert (margined <= cosines + 1e-12).all()
    # The easy margin ends with a jump upwards.
    assert (margined.diff() > 1e-12).sum().item() == (1 if options.get("easy_margin", False) else 0)
    (slopes,) = torch.autograd.grad(margined.sum(), cosines)
    assert torch.isfinite(slopes).all()


@every_case
def test_gradients_are_those_of_the_formula(kind, options):
    head, features, labels = random_head(kind, options)

    def logits(features, weight):
        return torch.func.functional_call(head, {"weight": weight}, (features, labels))

    assert torch.autograd.gradcheck(logits, (features.requires_grad_(), head.weight))


@every_case
def test_a_feature_in_line_with_its_class_has_finite_gradients(kind, options):
    head = kind(1, 3, **options)
    features = torch.tensor([[2.0], [-3.0], [0.0]], requires_grad=True)
    logits = head(features, torch.tensor([0, 0, 1]))
    F.cross_entropy(logits, torch.tensor([0, 0, 1])).backward()
    assert torch.isfinite(logits).all()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_sphereface_pushes_a_feature_away_from_the_opposite_of_its_class():
    head, *_ = random_head(SphereFace, {})
    opposite = torch.tensor([-1.0], dtype=torch.float64, requires_grad=True)
    head.with_margin(opposite).backward()
    assert opposite.grad.item() == pytest.approx((5 + 16) / 6)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_works_in_float32_whatever_the_features_and_whatever_autocast_says(kind, options, dtype):
    head, features, labels = random_head(kind, options, dtype=torch.float32)
    features = features.to(dtype).requires_grad_()
    logits = head(features, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head(features, labels)
    inside.sum().backward()
    assert logits.dtype == torch.float32
    assert torch.equal(inside, logits)
    assert torch.allclose(logits.double(), head.double()(features.double(), labels), rtol=1e-4, atol=1e-4)
    assert features.grad.dtype == dtype


@every_case
@pytest.mark.parametrize("length", [1e-30, 1e-6, 1e6, 1e30])
def test_tiny_and_huge_features_keep_their_angles(kind, options, length):
    head, features, labels = random_head(kind, options, dtype=torch.float32)
    expected = head(features, labels) * (length if kind is SphereFace else 1.0)
    features = (length * features).requires_grad_()
    logits = head(features, labels)
    F.cross_entropy(logits, labels).backward()
    assert torch.allclose(logits, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(head.weight.grad).all()


@every_head
def test_the_weight_is_xavier_uniform_with_a_row_for_each_class(kind):
    torch.manual_seed(0)
    weight = kind(100, 50).weight
    bound = math.sqrt(6 / 150)
    assert weight.shape == (50, 100)
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@every_head
def test_the_state_dict_restores_a_head_in_the_middle_of_training(kind):
    head = published(kind)
    for _ in range(3):
        head(FEATURES, LABELS)
    restored = kind(3, 4)
    restored.load_state_dict(copy.deepcopy(head.state_dict()))
    assert torch.equal(restored(FEATURES, LABELS), head(FEATURES, LABELS))


def test_only_training_counts_as_batches():
    head = published(SphereFace)
    assert head.state_dict()["batches"].dtype == torch.int64
    first = head(FEATURES, LABELS)
    head.eval()
    assert torch.equal(head(FEATURES, LABELS), first)
    assert head.batches.item() == 1
    head.train()
    assert not torch.equal(head(FEATURES, LABELS), first)
    assert head.batches.item() == 2


def test_two_batches_may_come_before_their_gradients():
    together, apart = published(SphereFace), published(SphereFace)
    (together(FEATURES, LABELS).sum() + together(2 * FEATURES, LABELS).sum()).backward()
    apart(FEATURES, LABELS).sum().backward()
    apart(2 * FEATURES, LABELS).sum().backward()
    assert torch.allclose(together.weight.grad, apart.weight.grad, rtol=1e-5, atol=1e-6)


@every_head
def test_compiles_into_one_graph_that_survives_the_annealing(kind):
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    head, twin = published(kind), published(kind)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler says about its own parts
        compiled = torch.compile(head, backend=backend, fullgraph=True)
        for _ in range(3):
            assert torch.equal(compiled(FEATURES, LABELS), twin(FEATURES, LABELS))
    assert len(graphs) == 1


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ArcFace, {"margin": -0.1}, r"angle in \[0, pi\) .* got -0.1 and 30.0"),
        (ArcFace, {"margin": 4}, r"angle in \[0, pi\)"),
        (ArcFace, {"scale": 0}, "scale > 0, got 0.5 and 0"),
        (AMSoftmax, {"margin": -0.1}, "margin is >= 0"),
        (AMSoftmax, {"margin": math.nan}, "margin is >= 0"),
        (AMSoftmax, {"scale": math.inf}, "scale > 0"),
        (SphereFace, {"margin": 0}, "integer >= 1, got 0"),
        (SphereFace, {"margin": 1.5}, "integer >= 1, got 1.5"),
    ],
)
def test_impossible_options_are_refused(kind, options, message):
    with pytest.raises(UserError, match=message):
        kind(3, 4, **options)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ArcFace(3, 4), "ArcFace(in_features=3, num_classes=4, scale=30.0, margin=0.5, easy_margin=False)"),
        (AMSoftmax(3, 4), "AMSoftmax(in_features=3, num_classes=4, scale=30.0, margin=0.4)"),
        (SphereFace(3, 4), "SphereFace(in_features=3, num_classes=4, margin=4)"),
    ],
    ids=["arc", "am", "sphere"],
)
def test_heads_say_their_options(head, expected):
    assert repr(head) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_case
def test_on_a_gpu_it_gives_the_same_logits_without_waiting_for_the_device(kind, options):
    head, features, labels = random_head(kind, options, dtype=torch.float32)
    expected = head(features, labels)
    head, features, labels = head.cuda().train(), features.cuda().requires_grad_(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        logits = head(features, labels)
        logits.sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.allclose(logits.cpu(), expected, rtol=1e-4, atol=1e-4)
