import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.metrics import ClassificationCounts, summarise


def counted(logits, labels, num_classes=None, **options):
    counts = ClassificationCounts(num_classes or logits.shape[1], **options)
    counts.update(logits, labels)
    return counts


def batch(size=64, num_classes=7, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(size, num_classes, generator=generator)
    return logits.to(dtype), torch.randint(num_classes, (size,), generator=generator)


def test_counts_by_hand():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [5.0, 0.0, 1.0]])
    counts = counted(logits, torch.tensor([0, 1, 2, 2]), top_k=2)
    assert counts.support.tolist() == [1, 1, 2]
    assert counts.predicted.tolist() == [2, 2, 0]
    assert counts.true_positives.tolist() == [1, 1, 0]
    assert counts.top_k_hits.item() == 4
    assert counts.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert counts.nll_sum.item() == pytest.approx(F.cross_entropy(logits, torch.tensor([0, 1, 2, 2]), reduction="sum").item())


def test_top_1_and_top_5_of_the_published_code():
    logits = [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.3, 0.1, 0.9, 0.2, 0, 0.4], [1, 2, 3, 4, 5, 6]]
    summary = summarise(counted(torch.tensor(logits), torch.tensor([5, 5, 5, 0])), [1] * 6)
    assert (100 * summary.accuracy, 100 * summary.top5) == (25.0, 50.0)


def test_ties_go_to_the_smaller_index_in_top_1_and_top_k_alike():
    logits, labels = torch.zeros(6, 6), torch.arange(6)
    assert counted(logits, labels, top_k=1).top_k_hits.item() == 1
    assert counted(logits, labels, top_k=4).top_k_hits.item() == 4
    assert counted(logits, labels).true_positives.tolist() == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("num_classes", [1, 2, 4, 5])
def test_fewer_classes_than_k_make_every_sample_a_hit(num_classes):
    counts = counted(*batch(num_classes=num_classes))
    assert counts.top_k == num_classes
    assert counts.top_k_hits.item() == 64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_precision_of_logits_gives_the_counts_of_its_values(dtype):
    logits, labels = batch(dtype=dtype)
    counts, exact = counted(logits, labels), counted(logits.double(), labels)
    assert torch.equal(counts.tensors()[0], exact.tensors()[0])
    torch.testing.assert_close(counts.tensors()[1], exact.tensors()[1], rtol=1e-6, atol=0)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 8), st.integers(0, 100))
def test_batches_and_ranks_add_up(sizes, num_classes, seed):
    logits, labels = batch(sum(sizes), num_classes, seed=seed)
    ranks = [ClassificationCounts(num_classes) for _ in range(2)]
    for step, (part, part_labels) in enumerate(zip(logits.split(sizes), labels.split(sizes), strict=True)):
        ranks[step % 2].update(part, part_labels, loss_sum=part.sum())
    for total, addend in zip(ranks[0].tensors(), ranks[1].tensors(), strict=True):
        total += addend  # what a reduction over ranks does
    whole = ClassificationCounts(num_classes)
    whole.update(logits, labels, loss_sum=logits.sum())
    assert torch.equal(ranks[0].tensors()[0], whole.tensors()[0])
    torch.testing.assert_close(ranks[0].tensors()[1], whole.tensors()[1], rtol=1e-5, atol=1e-5)
    assert ranks[0].support.sum().item() == sum(sizes)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 6), st.integers(0, 100))
def test_invariants(size, num_classes, top_k, seed):
    logits, labels = batch(size, num_classes, seed=seed)
    counts = counted(logits.round(), labels, top_k=top_k)  # rounding makes ties
    assert counts.support.sum() == counts.predicted.sum() == counts.bin_samples.sum() == counts.confusion.sum() == size
    assert counts.true_positives.sum() == counts.bin_correct.sum()
    assert counts.true_positives.sum() <= counts.top_k_hits <= size
    assert torch.equal(counts.confusion.diagonal(), counts.true_positives)
    assert torch.equal(counts.confusion.sum(dim=1), counts.support)
    assert torch.equal(counts.confusion.sum(dim=0), counts.predicted)


def test_nan_wins_nothing_and_shows_in_the_likelihood():
    nan = float("nan")
    counts = counted(torch.tensor([[nan, 1.0, 0.0], [nan, nan, nan]]), torch.tensor([0, 1]), top_k=2)
    assert counts.true_positives.tolist() == [0, 0, 0]
    assert counts.top_k_hits.item() == 1  # the tie of three: class 1 comes second
    assert torch.isnan(counts.nll_sum)
    summary = summarise(counts, [1, 1, 1])
    assert summary.accuracy == 0.0
    assert summary.to_dict()["nll"] is None


def test_huge_logits_stay_finite():
    counts = counted(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0]))
    assert counts.nll_sum.item() == 2e4
    assert counts.bin_confidence.sum().item() == 2.0


def test_no_confusion_matrix_for_many_classes():
    counts = ClassificationCounts(8142)
    counts.update(torch.zeros(2, 8142), torch.tensor([0, 8141]))
    assert counts.confusion is None
    assert sum(tensor.numel() for tensor in counts.tensors()) < 4 * 8142
    assert ClassificationCounts(10, confusion_limit=9).confusion is None
    assert ClassificationCounts(10, confusion_limit=10).confusion.shape == (10, 10)


def test_logits_that_need_gradients_leave_none_behind():
    logits, labels = batch()
    counts = ClassificationCounts(7)
    counts.update(logits.requires_grad_(), labels, loss_sum=logits.sum())
    assert not any(tensor.requires_grad for tensor in counts.tensors())


def test_updates_work_in_inference_mode():
    logits, labels = batch()
    counts = ClassificationCounts(7)
    with torch.inference_mode():
        counts.update(logits, labels)
    assert torch.equal(counts.tensors()[0], counted(logits, labels).tensors()[0])


def test_an_empty_batch_counts_nothing():
    counts = counted(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert not any(tensor.any() for tensor in counts.tensors())


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (4,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"logits have shape \(4, 2\)"):
        ClassificationCounts(2).update(torch.zeros(shape), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("zero", ["num_classes", "top_k", "calibration_bins"])
def test_numbers_below_one_are_refused(zero):
    with pytest.raises(ValueError, match="need classes, k and bins"):
        ClassificationCounts(**{"num_classes": 2, zero: 0})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("num_classes", [7, 1500])
def test_on_a_gpu_it_counts_the_same_without_waiting_for_the_device(num_classes):
    logits, labels = batch(num_classes=num_classes)
    expected = ClassificationCounts(num_classes)
    expected.update(logits, labels, loss_sum=logits.sum())
    counts = ClassificationCounts(num_classes, "cuda")
    logits, labels = logits.cuda(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        counts.update(logits, labels, loss_sum=logits.sum())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for found, wanted in zip(counts.tensors(), expected.tensors(), strict=True):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-5)
