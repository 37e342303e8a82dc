"""CADEL's prior correction and the search for its strength, against the authors' numbers."""

import math

import numpy as np
import pytest
import torch
from cadel_toy import FixedBatches, FixedOutputs

from longtail.errors import UserError
from longtail.metrics import ClassificationCounts, summarise
from longtail.training.runtime import RuntimeOptions
from longtail_cadel.experiments import SCRIPTS
from longtail_cadel.prior import corrected, prior_shift, reading_name, tau_search
from longtail_cadel.recipe import CADEL, Cascading, head_numbers

COUNTS = np.array([400, 150, 40, 10])
LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
LAST, ALL = (2,), (0, 1, 2)
BATCHES = ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11])


def published_outputs():
    """z, shape (12, 3, 4), float32."""
    i, h, j = np.ogrid[0:12, 1:4, 0:4]
    signal = 1.5 * np.sin(0.7 * i + 1.3 * j + 2.1 * h + 0.4)
    bonus = 1.6 * (j == np.array(LABELS)[:, None, None])
    return torch.from_numpy((signal + bonus + np.log(COUNTS / 150)).astype(np.float32))


def recipe_of(heads=LAST, *, tau=0.0, taus=(), binary=False):
    settings = Cascading(binary=binary, heads=heads, tau=tau, taus=taus)
    return CADEL(FixedOutputs(published_outputs()), COUNTS, settings).eval()


def judged(logits):
    counts = ClassificationCounts(4)
    counts.update(logits, torch.tensor(LABELS))
    return summarise(counts, COUNTS)


def test_published_priors():
    shift = prior_shift(COUNTS)
    assert shift.dtype == torch.float32
    log_prior = [-0.4054650664, -1.3862943649, -2.7080502510, -4.0943446159]
    assert (-shift - math.log(4)).tolist() == pytest.approx(log_prior, abs=2e-7)
    # the rarest class gains most, and one that has its even share nothing
    assert shift[1].item() == pytest.approx(0, abs=1e-7)
    first = published_outputs()[0, 2]
    assert first.tolist() == pytest.approx([3.18810415, 1.48403740, -1.13507426, -4.09221315], abs=5e-7)


NO_CORRECTION = [0, 0, 0, 0, 0, 1, 2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("heads", "tau", "divisor", "predictions", "shares", "first"),
    [
        (
            LAST,
            0.0,
            3,
            NO_CORRECTION,
            [0.58333333, 0.66666667, 1, 0, 0.51136364],
            [1.062701, 0.494679, -0.378358, -1.364071],
        ),
        (
            LAST,
            0.9,
            3,
            [0, 0, 0, 0, 3, 3, 2, 2, 2, 1, 0, 0],
            [0.5, 0.5, 1, 0, 0.41666667],
            [0.768453, 0.494679, 0.018169, -0.551656],
        ),
        (
            LAST,
            1.3,
            3,
            [0, 0, 0, 3, 3, 3, 2, 2, 2, 1, 0, 3],
            [0.58333333, 0.5, 1, 0.33333333, 0.53571429],
            [0.637675, 0.494679, 0.194403, -0.190583],
        ),
        (
            LAST,
            1.5,
            3,
            [0, 0, 0, 3, 3, 3, 2, 2, 2, 3, 3, 3],
            [0.75, 0.5, 1, 1, 0.66666667],
            [0.572287, 0.494679, 0.282520, -0.010046],
        ),
        (
            LAST,
            0.0,
            1,
            NO_CORRECTION,
            [0.58333333, 0.66666667, 1, 0, 0.51136364],
            [3.188104, 1.484037, -1.135074, -4.092213],
        ),
        (LAST, 1.0, 1, None, None, [2.207275, 1.484037, 0.186682, -1.384163]),
        (ALL, 1.0, 1, LABELS, [1, 1, 1, 1, 1], [4.814446, 0.005436, -0.011539, -0.011608]),
        (ALL, 1.3, 1, LABELS, [1, 1, 1, 1, 1], [3.931700, 0.005436, 1.178042, 2.425636]),
        (
            ALL,
            1.5,
            1,
            [3, 3, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3],
            [0.75, 0.5, 1, 1, 0.66666667],
            [3.343203, 0.005436, 1.971095, 4.050467],
        ),
    ],
)
def test_published_predictions(heads, tau, divisor, predictions, shares, first):
    """The authors' code divides a CNN's last head by three, which `corrected` and the recipe do not."""
    outputs = published_outputs()
    logits = corrected(outputs, tau, heads, prior_shift(COUNTS))
    assert (logits[0] / divisor).tolist() == pytest.approx(first, abs=2e-6)
    images = torch.arange(12.0)[:, None, None, None].expand(-1, 3, 1, 1)
    shown = recipe_of(heads, tau=tau).predict(images)
    torch.testing.assert_close(shown, logits / len(heads))
    if predictions is not None:
        assert logits.argmax(dim=1).tolist() == shown.argmax(dim=1).tolist() == predictions
        result = judged(shown)
        found = [result.accuracy, result.many, result.medium, result.few, result.macro_f1]
        assert found == pytest.approx(shares, abs=1e-8)


@pytest.mark.parametrize(
    ("heads", "taus", "accuracies", "tau"),
    [
        (LAST, SCRIPTS["main_CNN_PC"].taus, [0.5, 0.5, 0.5, 0.58333, 0.58333, 0.66667, 0.75], 1.5),
        (LAST, SCRIPTS["main_CNN_Places365_PC"].taus, [0.5, 0.5, 0.5, 0.58333, 0.58333, 0.66667], 1.4),
        (ALL, SCRIPTS["main_Vit_PC"].taus, [1.0, 1.0, 0.75, 0.5, 0.5, 0.5], 1.3),
    ],
)
def test_published_searches(heads, taus, accuracies, tau):
    recipe = recipe_of(heads, taus=taus)
    passes = []
    recipe.backbone.register_forward_hook(lambda *_: passes.append(1))
    found = tau_search(
        recipe,
        recipe.reading,
        taus,
        FixedBatches(LABELS, BATCHES),
        COUNTS,
        options=RuntimeOptions(),
        device=torch.device("cpu"),
    )
    assert found.tau == tau
    assert list(found.summaries) == list(taus)
    assert [each.accuracy for each in found.summaries.values()] == pytest.approx(accuracies, abs=4e-6)
    assert found.score == found.summaries[tau].accuracy == pytest.approx(max(accuracies), abs=4e-6)
    assert len(passes) == len(BATCHES)
    assert list(recipe.readings()) == [reading_name(each) for each in taus]
    images = torch.arange(12.0)[:, None, None, None].expand(-1, 3, 1, 1)
    for each, read in zip(taus, recipe.readings().values(), strict=True):
        assert judged(read(recipe.outputs(images))).accuracy == found.summaries[each].accuracy


def test_a_search_needs_something_to_choose_from():
    recipe = recipe_of()
    with pytest.raises(ValueError, match="no tau to choose from"):
        tau_search(
            recipe,
            recipe.reading,
            (),
            FixedBatches(LABELS, BATCHES),
            COUNTS,
            options=RuntimeOptions(),
            device=torch.device("cpu"),
        )


def test_names_of_taus():
    assert [reading_name(tau) for tau in (0.9, 1.0, 1.25)] == ["tau=0.9", "tau=1", "tau=1.25"]


def test_a_class_without_images_has_no_prior():
    with pytest.raises(UserError, match="no training image of class 1"):
        prior_shift(np.array([3, 0, 2]))


def test_bfloat16_outputs_are_corrected_in_float32():
    outputs = published_outputs().bfloat16()
    found = corrected(outputs, 1.3, ALL, prior_shift(COUNTS))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, corrected(outputs.float(), 1.3, ALL, prior_shift(COUNTS)))


@pytest.mark.parametrize(
    ("heads", "numbers"),
    [("last", LAST), ("all", ALL), ("1", (0,)), ("2, 3", (1, 2)), ("3,1", (2, 0)), ([1, 3], (0, 2)), ((2,), (1,))],
)
def test_names_of_heads(heads, numbers):
    assert head_numbers(heads) == numbers


@pytest.mark.parametrize("heads", ["", "none", "0", "4", "1,1", "1;2", [], [0], [1, 1], [-1]])
def test_heads_that_are_not_there(heads):
    with pytest.raises(UserError, match="heads to evaluate are last, all, or some of 1, 2, 3, each once; got"):
        head_numbers(heads)
