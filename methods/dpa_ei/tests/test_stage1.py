"""The networks that the large data sets are seen with, in each form in which somebody may have left one."""

import os

import numpy as np
import pytest
import torch
from dpa_ei_toy import ToyNet

from longtail.backbones import create_backbone
from longtail.errors import UserError
from longtail_dpa_ei import stage1
from longtail_dpa_ei.experiments import LARGE
from longtail_dpa_ei.stage1 import create_network, find

IMAGENET, INAT = LARGE["ImageNet_LT"], LARGE["iNaturalist18"]
COUNTER = "num_batches_tracked"
NUMBERS = (0.4375, np.float64(0.4375), np.float32(0.4375), np.int64(3))


@pytest.fixture
def trained():
    return ToyNet(seed=5).state_dict()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """In place of a ResNet-50 a network that is made in no time."""
    monkeypatch.setattr(stage1, "create_backbone", lambda _arch, *, num_classes, seed: ToyNet(seed, num_classes=num_classes))


def split(weights):
    """Features and classifier apart."""
    is_classifier = {True: {}, False: {}}
    for name, value in weights.items():
        is_classifier[name.startswith("fc.")][name] = value
    return is_classifier[False], is_classifier[True]


def balancing(weights, key="state_dict_best", prefix="module.", **others):
    """As classifier-balancing saves it."""
    features, classifier = ({f"{prefix}{name}": value for name, value in part.items()} for part in split(weights))
    return {
        "epoch": 90,
        "best_epoch": 88,
        "best_acc": 0.4375,
        **others,
        key: {"feat_model": features, "classifier": classifier},
    }


def papers(weights):
    features, classifier = split(weights)
    return {"epoch": 1, "state_dict": {"feature": features, "classifier": classifier}, "optimizer": {"state": {}}}


FORMS = {
    "published": balancing,
    "latest": lambda weights: balancing(weights, key="state_dict"),
    "on one GPU": lambda weights: balancing(weights, prefix=""),
    "both": lambda weights: balancing(weights, state_dict={"feat_model": {}, "classifier": {}}),
    "ours": lambda weights: {
        "epoch": 3,
        "state_dict": dict(weights),
        "best_acc1": 4.0,
        "optimizer": {},
        "longtail": {"format": 1},
    },
    "ours, wrapped": lambda weights: {"state_dict": {f"module.{name}": value for name, value in weights.items()}},
    "the paper's": papers,
}


def assert_loaded(network, weights):
    found = network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items() if not name.endswith(COUNTER))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_forms(form, counted, trained, tmp_path):
    weights = {name: value for name, value in trained.items() if counted or not name.endswith(COUNTER)}
    torch.save(FORMS[form](weights), tmp_path / "model.pth")
    assert_loaded(create_network(tmp_path / "model.pth", 3, seed=0), weights)


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_numbers_of_numpy_beside_the_weights(number, modern, trained, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(balancing(trained, best_acc=number), path, _use_new_zipfile_serialization=modern)
    assert_loaded(create_network(path, 3, seed=0), trained)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_of_an_older_and_a_newer_numpy(module, trained, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(balancing(trained, best_acc=np.float64(0.5)), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    here = next(each for each in (b"numpy._core.multiarray", b"numpy.core.multiarray") if each in content)
    path.write_bytes(content.replace(here, module))
    assert_loaded(create_network(path, 3, seed=0), trained)


def test_the_papers_network(tmp_path, monkeypatch):
    monkeypatch.setattr(stage1, "create_backbone", create_backbone)
    weights = create_backbone("resnet50", num_classes=3, seed=5).state_dict()
    features, classifier = split(weights)
    assert sum(value.numel() for name, value in features.items() if not name.endswith((COUNTER, "mean", "var"))) == 23_508_032
    assert len([name for name in features if not name.endswith(COUNTER)]) == 265
    assert classifier["fc.weight"].shape == (3, 2048)
    torch.save(balancing(weights), tmp_path / "model.pth")
    network = create_network(tmp_path / "model.pth", 3, seed=0)
    assert_loaded(network, weights)
    assert network.num_features == 2048


def test_random_weights_are_those_of_the_seed():
    first, again, other = (create_network(None, 3, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


# --- where they are


@pytest.mark.parametrize("experiment", LARGE.values(), ids=LARGE)
def test_where_the_papers_scripts_look(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in reversed(experiment.stage1):  # the first one is preferred
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
        assert os.fspath(find(experiment, None)) == path
    (tmp_path / "mine.pth").touch()
    assert os.fspath(find(experiment, "mine.pth")) == "mine.pth"
    assert find(experiment, "random") is None


def test_a_missing_file_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        find(IMAGENET, None)
    assert str(caught.value).startswith(
        "there is neither ImageNet_iNat/stage1/ImageNet_LT/models/resnet50_uniform_e90/latest_model_checkpoint.pth nor "
        "stage1/resnet50_uniform_e90.pth: "
    )
    assert "ImageNet_LT/models/resnet50_uniform_e90.pth" in str(caught.value)
    assert "--stage1 random" in str(caught.value)
    with pytest.raises(UserError, match=r"there is no gone\.pth: ") as caught:
        find(INAT, "gone.pth")
    assert "iNaturalist18/models/resnet50_uniform_e200.pth" in str(caught.value)


# --- what is none


def test_other_classes_and_networks(trained, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(balancing(trained), path)
    with pytest.raises(UserError, match=r"model\.pth: a checkpoint of another model: its fc\.weight has shape \(3, 6\), the "):
        create_network(path, 4, seed=0)
    torch.save(balancing(create_backbone("resnet20", num_classes=3, seed=0).state_dict()), path)
    with pytest.raises(UserError, match=r"model\.pth: a checkpoint of another model: it has no conv\.weight"):
        create_network(path, 3, seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}}, "it has neither 'state_dict_best' nor 'state_dict'"),
        ([torch.zeros(1)], "not a checkpoint"),
        ({"state_dict": {}}, "a checkpoint of another model: it has no "),
    ],
)
def test_other_contents(content, message, tmp_path):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(UserError, match=f"model.pth: {message}"):
        create_network(tmp_path / "model.pth", 3, seed=0)


class Harmful:
    """A pickle that makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("modern", [True, False])
def test_no_code_of_a_file_is_run(modern, trained, tmp_path):
    path = tmp_path / "model.pth"
    content = balancing(trained, best_acc=Harmful(os.fspath(tmp_path / "made")))
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    with pytest.raises(UserError, match="no plain data: reading it could run a program") as caught:
        create_network(path, 3, seed=0)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_a_damaged_file(trained, tmp_path):
    path = tmp_path / "model.pth"
    torch.save(balancing(trained), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model\.pth is not a readable checkpoint"):
        create_network(path, 3, seed=0)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.pth is not a readable checkpoint"):
        create_network(path, 3, seed=0)
