import pytest
import torch
import torchvision

from longtail.backbones import create_backbone, load_backbone_weights
from longtail.errors import UserError
from longtail.training import checkpoint


def network(seed, num_classes=10, head="linear", name="resnet20"):
    return create_backbone(name, num_classes=num_classes, head=head, seed=seed)


def equal_states(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def snapshot(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_load_with_and_without_the_prefix_of_a_parallel_wrapper(prefix, tmp_path):
    source, target = network(0), network(1)
    source.bn1.num_batches_tracked += 5
    # The published form: a file with the state dict beside the epoch.
    published = {"epoch": 200, "state_dict": {prefix + name: value for name, value in source.state_dict().items()}}
    torch.save(published, tmp_path / "ckpt.pth.tar")
    load_backbone_weights(target, torch.load(tmp_path / "ckpt.pth.tar", weights_only=True)["state_dict"])
    assert equal_states(source.state_dict(), target.state_dict())


def test_a_checkpoint_of_the_authors_loads_where_no_gpu_is(tmp_path, monkeypatch):
    """As DataParallel saved it: torchvision's names behind a prefix, and the best accuracy as a number on the GPU."""
    source = torchvision.models.resnet18(num_classes=10)
    published = {
        "epoch": 100,
        "state_dict": {"module." + name: value for name, value in source.state_dict().items()},
        "best_acc1": torch.tensor(52.3),
    }
    with monkeypatch.context() as on_a_gpu:
        on_a_gpu.setattr(torch.serialization, "location_tag", lambda _storage: "cuda:0")
        torch.save(published, tmp_path / "ckpt.best.pth.tar")
    content = checkpoint.read(tmp_path / "ckpt.best.pth.tar")
    assert float(content["best_acc1"]) == pytest.approx(52.3)
    target = network(1, name="resnet18")
    load_backbone_weights(target, content["state_dict"])
    assert equal_states(source.state_dict(), target.state_dict())


def test_checkpoints_without_batch_counters_load():
    source, target = network(0), network(1)
    old = {name: value for name, value in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    load_backbone_weights(target, old)
    assert equal_states(source.state_dict(), target.state_dict())


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"num_classes": 100}, r"its linear.weight has shape \(100, 64\), the model's has \(10, 64\)"),
        ({"head": "cosine"}, r"its linear.weight has shape \(64, 10\), the model's has \(10, 64\)"),
        ({"name": "resnet32"}, "it has layer1.3.conv1.weight, the model has not"),
        ({"name": "resnet18"}, r"its conv1.weight has shape \(64, 3, 7, 7\), the model's has \(16, 3, 3, 3\)"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_with_the_first_difference(other, difference):
    target = network(1)
    before = snapshot(target)
    with pytest.raises(UserError, match=f"^a checkpoint of another model: {difference}\\.\n.*") as error:
        load_backbone_weights(target, network(0, **other).state_dict())
    assert str(error.value).count("\n") == 1
    assert equal_states(before, target.state_dict())


def test_a_deeper_model_misses_weights():
    with pytest.raises(UserError, match=r"it has no layer1\.3\.conv1\.weight"):
        load_backbone_weights(network(1, name="resnet32"), network(0).state_dict())


def test_a_file_of_another_kind_misses_all_of_them():
    with pytest.raises(UserError, match=r"it has no conv1\.weight"):
        load_backbone_weights(network(1), {"step": torch.tensor(3)})


def test_the_checkpoint_is_not_changed():
    state = {"module." + name: value for name, value in network(0).state_dict().items()}
    names = list(state)
    load_backbone_weights(network(1), state)
    assert list(state) == names
