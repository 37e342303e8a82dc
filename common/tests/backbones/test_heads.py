import pytest
import torch

from longtail.backbones import CosineLinear, create_head
from longtail.errors import UserError


def cosine_head(weight):
    weight = torch.tensor(weight, dtype=torch.float64)
    head = CosineLinear(*weight.shape).double()
    with torch.no_grad():
        head.weight.copy_(weight)
    return head


def test_cosines_of_the_published_code():
    head = cosine_head([[1, 2], [0, -1], [2, 2]])
    features = torch.tensor([[3, 4, 0], [1, 1, 1]], dtype=torch.float64)
    expected = [[0.2683281572999747, 0.1333333333333333], [0.7745966692414834, 0.5773502691896257]]
    torch.testing.assert_close(head(features), torch.tensor(expected, dtype=torch.float64), rtol=1e-14, atol=0)


def test_cosines_of_the_rsg_study():
    head = cosine_head([[0.5, -0.3, 0.9, 0.2], [1, 0.8, -0.6, 0.1], [-0.2, 0.1, 0.4, -1]])
    features = torch.tensor([[1, 2, 0.5], [0.3, -0.4, 1.2], [-1, 0.5, 0.25]], dtype=torch.float64)
    expected = [
        [0.9222246, 0.6849175, -0.0378438, -0.0425918],
        [-0.3318623, -0.2593216, 0.6603376, -0.8858170],
        [-0.0384260, 0.7356521, -0.8325632, -0.3407342],
    ]
    torch.testing.assert_close(head(features), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-7)


def test_gradients():
    head = CosineLinear(3, 4).double()
    features = torch.tensor([[1.0, 2.0, 0.5], [0.3, -0.4, 1.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _weight: head(x), (features, head.weight))


def test_lengths_do_not_matter():
    head = CosineLinear(3, 4)
    features = torch.tensor([[1.0, 2.0, 0.5]])
    torch.testing.assert_close(head(1e-6 * features), head(1e6 * features))


def test_a_zero_feature_has_zero_cosines_and_finite_gradients():
    head = CosineLinear(3, 4)
    features = torch.zeros(2, 3, requires_grad=True)
    logits = head(features)
    logits.sum().backward()
    assert not logits.any()
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_autocast_does_not_coarsen_cosines():
    head = CosineLinear(64, 10)
    features = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(features)
    assert torch.equal(found, head(features))
    assert head(features.bfloat16()).dtype == torch.float32


def test_prints_its_sizes():
    assert str(CosineLinear(64, 10)) == "CosineLinear(in_features=64, out_features=10)"


def test_a_wrong_name_lists_the_right_ones():
    with pytest.raises(UserError, match="no head is called 'norm'; choose one of linear, cosine"):
        create_head("norm", 64, 10)
