import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, recall_score, top_k_accuracy_score
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

from longtail.errors import UserError
from longtail.metrics import ClassificationCounts, ShotThresholds, summarise


def evaluate(logits, labels, class_counts=None, thresholds=None, **options):
    counts = ClassificationCounts(logits.shape[1], **options)
    counts.update(logits, labels)
    class_counts = [1] * logits.shape[1] if class_counts is None else class_counts
    return summarise(counts, class_counts, thresholds or ShotThresholds())


def predicted(classes, num_classes):
    """Logits whose largest is that of the given class."""
    return torch.nn.functional.one_hot(torch.tensor(classes), num_classes).float()


@pytest.fixture(scope="module", params=[(200, 6, 0), (300, 11, 1), (500, 40, 2)], ids=str)
def evaluation(request):
    size, num_classes, seed = request.param
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (size,), generator=generator)
    labels[:num_classes] = torch.arange(num_classes)  # sklearn's top-k wants every class
    logits = torch.randn(size, num_classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(size), labels] += 1.5
    return logits, labels


def test_equals_sklearn(evaluation):
    logits, labels = evaluation
    summary = evaluate(logits, labels)
    probabilities, predictions = logits.softmax(1).numpy(), logits.argmax(1)
    assert summary.samples == len(labels)
    assert summary.accuracy == pytest.approx(accuracy_score(labels, predictions))
    assert summary.top5 == pytest.approx(top_k_accuracy_score(labels, logits, k=5))
    assert summary.nll == pytest.approx(log_loss(labels, probabilities))
    assert summary.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert summary.macro_f1 == pytest.approx(f1_score(labels, predictions, average="macro"))
    recalls = recall_score(labels, predictions, average=None)
    assert summary.per_class_accuracy == pytest.approx(recalls)
    assert (summary.worst_class, summary.worst_accuracy) == (np.argmin(recalls), pytest.approx(recalls.min()))


def test_equals_torchmetrics(evaluation):
    logits, labels = evaluation
    num_classes = logits.shape[1]
    counts = ClassificationCounts(num_classes)
    counts.update(logits, labels)
    summary = summarise(counts, [1] * num_classes)
    assert summary.accuracy == pytest.approx(multiclass_accuracy(logits, labels, num_classes, average="micro").item())
    assert summary.top5 == pytest.approx(multiclass_accuracy(logits, labels, num_classes, average="micro", top_k=5).item())
    assert summary.balanced_accuracy == pytest.approx(multiclass_accuracy(logits, labels, num_classes, average="macro").item())
    assert summary.macro_f1 == pytest.approx(multiclass_f1_score(logits, labels, num_classes, average="macro").item(), rel=1e-6)
    assert torch.equal(counts.confusion, multiclass_confusion_matrix(logits, labels, num_classes))


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_equals_torchmetrics(evaluation, bins):
    logits, labels = evaluation
    expected = multiclass_calibration_error(logits.softmax(1), labels, logits.shape[1], n_bins=bins, norm="l1").item()
    assert evaluate(logits, labels, calibration_bins=bins).ece == pytest.approx(expected, rel=1e-6)


def test_a_certain_and_right_network_is_perfect():
    summary = evaluate(1e4 * torch.eye(6), torch.arange(6))
    assert (summary.accuracy, summary.top5, summary.macro_f1, summary.ece, summary.nll) == (1.0, 1.0, 1.0, 0.0, 0.0)


def test_classes_absent_from_the_test_set_count_nowhere():
    labels, predictions = [0, 0, 1, 1], [0, 3, 1, 1]
    summary = evaluate(predicted(predictions, 5), torch.tensor(labels))
    assert summary.per_class_accuracy == (0.5, 1.0, None, None, None)
    assert summary.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, np.minimum(predictions, 1)))
    # Class 3 is predicted, so it counts in F1; classes 2 and 4 occur nowhere.
    assert summary.macro_f1 == pytest.approx(f1_score(labels, predictions, average="macro", zero_division=0))
    assert summary.worst_class == 0


CMO_COUNTS = [500, 120, 100, 20, 19, 5]
CMO_EVALUATION = (predicted([0, 2, 1, 0, 2, 1, 0, 1, 0, 2, 1, 0], 6), torch.tensor([0, 1, 2, 3, 4, 5] * 2))


def test_shot_groups_of_the_published_code():
    summary = evaluate(*CMO_EVALUATION, CMO_COUNTS)
    assert summary.per_class_accuracy == (1.0, 0.5, 0.0, 0.0, 0.0, 0.0)
    assert (summary.many, summary.medium, summary.few) == (0.75, 0.0, 0.0)
    summary = evaluate(*CMO_EVALUATION, [500] * 6)
    assert (summary.many, summary.medium, summary.few) == (0.25, None, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "MMmmff"),
        ({"few_inclusive": True}, "MMmfff"),
        ({"many": 99}, "MMMmff"),
        ({"few": 19}, "MMmmmf"),
        ({"many": 500, "few": 0}, "mmmmmm"),
        ({"many": 20, "few": 20}, "MMMmff"),
        ({"many": 20, "few": 20, "few_inclusive": True}, "MMMfff"),
    ],
)
def test_boundaries_of_the_shot_groups(options, expected):
    groups = ShotThresholds(**options).groups(CMO_COUNTS)
    names = np.select(groups, ["M", "m", "f"], "?")
    assert "".join(names) == expected


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(0, 150), st.integers(0, 150), st.booleans())
def test_every_class_is_in_one_group(class_counts, many, gap, inclusive):
    groups = ShotThresholds(many=many + gap, few=many, few_inclusive=inclusive).groups(class_counts)
    assert (np.sum(groups, axis=0) == 1).all()


def test_cifar100_groups():
    groups = ShotThresholds().groups((500 * 0.01 ** (np.arange(100) / 99)).astype(np.int64))
    assert [int(group.sum()) for group in groups] == [35, 35, 30]


def test_a_group_without_test_samples_is_absent():
    summary = evaluate(predicted([0, 0], 3), torch.tensor([0, 1]), [200, 50, 5])
    assert (summary.many, summary.medium, summary.few) == (1.0, 0.0, None)


@pytest.mark.parametrize("thresholds", [{"many": 10, "few": 20}, {"few": -1}])
def test_crossed_thresholds_are_refused(thresholds):
    with pytest.raises(UserError, match="0 <= few <= many"):
        ShotThresholds(**thresholds)


def test_the_loss_is_the_mean_over_the_samples_it_covers():
    counts = ClassificationCounts(2)
    counts.update(torch.zeros(3, 2), torch.tensor([0, 1, 1]), loss_sum=torch.tensor(6.0))
    counts.update(torch.zeros(1, 2), torch.tensor([0]), loss_sum=torch.tensor(4.0))
    summary = summarise(counts, [1, 1])
    assert summary.loss == 2.5
    assert summary.nll == pytest.approx(math.log(2))
    assert evaluate(torch.zeros(1, 2), torch.tensor([0])).loss is None


def test_the_dictionary_is_strict_json():
    summary = evaluate(predicted([0, 0], 3), torch.tensor([0, 1]), [200, 50, 5])
    read_back = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert read_back == summary.to_dict()
    assert read_back["per_class_accuracy"] == [1.0, 0.0, None]
    assert read_back["few"] is None


def test_nothing_counted_and_wrong_class_counts_are_refused():
    with pytest.raises(ValueError, match="no sample was counted"):
        summarise(ClassificationCounts(3), [1, 1, 1])
    with pytest.raises(ValueError, match=r"class counts have shape \(2,\), got \(3,\)"):
        evaluate(torch.zeros(1, 2), torch.tensor([0]), [1, 1, 1])
