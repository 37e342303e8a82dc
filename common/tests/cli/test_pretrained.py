"""`longtail train --pretrained`, and what `longtail methods` tells."""

import json

import pytest
import torch

from longtail.backbones import begin_with, create_backbone
from longtail.errors import UserError
from longtail.training.checkpoint import read_weights

TRAIN = ("train", "erm", "--data", "digits", "--backbone", "resnet20", "--device", "cpu", "--max-epochs", 1, "--max-steps", 1)


def network(**changes):
    return create_backbone("resnet20", **{"num_classes": 10, "seed": 1, **changes})


@pytest.mark.parametrize("key", ["state_dict", "model", None])
def test_weights_are_found_in_every_kind_of_file(key, tmp_path):
    weights = network().state_dict()
    torch.save(weights if key is None else {key: weights, "epoch": 3}, tmp_path / "weights.pth")
    found = read_weights(tmp_path / "weights.pth")
    assert found.keys() == weights.keys()
    assert torch.equal(found["conv1.weight"], weights["conv1.weight"])


def test_a_file_without_weights_is_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth holds no weights"):
        read_weights(tmp_path / "weights.pth")


def test_everything_but_the_classifier_is_taken():
    begun, other = network(), network(seed=2)
    loaded = begin_with(begun, other.state_dict())
    assert torch.equal(begun.conv1.weight, other.conv1.weight)
    assert torch.equal(begun.linear.weight, network().linear.weight)
    assert not loaded.missing
    assert not loaded.misshapen


def test_a_run_begins_with_pretrained_weights(longtail, tmp_path):
    torch.save({"module." + name: value for name, value in network(num_classes=3).state_dict().items()}, tmp_path / "mine.pth")
    ended = longtail(*TRAIN, "--lr", 1e-9, "--weight-decay", 0, "--pretrained", "mine.pth")
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert "from_mine" in folder.name
    trained = torch.load(folder / "ckpt.pth.tar", weights_only=True)["state_dict"]
    torch.testing.assert_close(trained["conv1.weight"], network(num_classes=3).conv1.weight, rtol=0, atol=1e-6)
    assert json.loads((folder / "run.json").read_text())["identity"]["pretrained"] == str(tmp_path / "mine.pth")


def test_weights_of_another_network_are_refused(longtail, tmp_path):
    torch.save({"stem.weight": torch.ones(2)}, tmp_path / "other.pth")
    ended = longtail(*TRAIN, "--pretrained", "other.pth")
    assert ended.code == 2
    assert "--pretrained other.pth: a checkpoint of another model" in ended.err


def test_methods_tell_their_needs(longtail):
    ended = longtail("methods", "--json")
    told = {each["method"]: each for each in json.loads(ended.out)["methods"]}
    assert told["erm"] == {**told["erm"], "year": None, "cost": "1", "needs": "nothing"}
    assert all(each.keys() == told["erm"].keys() for each in told.values())
