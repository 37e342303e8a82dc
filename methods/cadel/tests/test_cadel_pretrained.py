"""Pretrained weights: every form of file, sizes that differ, and what is said when a file is missing or of no use."""

import argparse
import re

import pytest
import torch

from longtail.backbones import seeded_weights
from longtail.backbones.vision_transformer import VisionTransformer, resized_position_embedding
from longtail.errors import UserError
from longtail.training.checkpoint import load_plain
from longtail_cadel.cascade import Cascade
from longtail_cadel.heads import SquashedCosine
from longtail_cadel.pretrained import load_pretrained
from longtail_cadel.transformer_head import TransformerHead

WIDTH, CLASSES = 8, 3


def cascade(seed, *, image_size=32, width=WIDTH):
    with seeded_weights(seed):
        trunk = VisionTransformer(image_size=image_size, patch_size=8, width=width, depth=2, num_heads=2, num_classes=CLASSES)
        aux = [TransformerHead(width, 2, num_classes=CLASSES, make_head=SquashedCosine)]
        return Cascade(trunk, (0,), aux, SquashedCosine(width, CLASSES))


def trunk_of(network):
    return network.trunk.state_dict()


def of_mae(network, *, wrapped=""):
    """The file of a masked autoencoder that was trained on this trunk: no final norm of the mean, but a decoder."""
    trunk = {name: value for name, value in trunk_of(network).items() if not name.startswith("fc_norm")}
    surplus = {
        "mask_token": torch.zeros(1, 1, 4),
        "decoder_pos_embed": torch.zeros(1, 17, 4),
        "decoder_blocks.0.norm1.weight": torch.ones(4),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    weights = {wrapped + name: value for name, value in {**trunk, **surplus}.items()}
    return {"model": weights, "epoch": 399, "args": argparse.Namespace(model="mae", cls_num=[5, 3, 1], lr=1e-3)}


def of_the_paper(network, key, wrapped="module."):
    aux = {name.replace("aux.0.", "aux_layer1."): each for name, each in network.state_dict().items() if "aux" in name}
    state = {**trunk_of(network), **aux, "head.weight": network.head.weight.detach()}
    return {"epoch": 3, key: {"feat_model": {wrapped + name: value for name, value in state.items()}}}


FORMS = {
    "MAE": of_mae,
    "MAE, wrapped": lambda network: of_mae(network, wrapped="module."),
    "latest of the paper": lambda network: of_the_paper(network, "state_dict"),
    "best of the paper": lambda network: of_the_paper(network, "state_dict_best"),
    "best of the paper, unwrapped": lambda network: of_the_paper(network, "state_dict_best", ""),
    "bare": trunk_of,
    "bare, wrapped": lambda network: {"module." + name: value for name, value in trunk_of(network).items()},
    "state_dict": lambda network: {"state_dict": trunk_of(network)},
    "a run of this project": lambda network: {"state_dict": network.state_dict(), "longtail": {"format": 1}},
    "supervised": lambda network: {
        "model": {**trunk_of(network), "head.weight": torch.zeros(CLASSES, WIDTH), "head.bias": torch.zeros(CLASSES)}
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_loads(form, tmp_path):
    source, network = cascade(0), cascade(1)
    torch.save(FORMS[form](source), tmp_path / "x.pth")
    aux = {name: value.clone() for name, value in network.aux.state_dict().items()}
    begun = load_pretrained(network, tmp_path / "x.pth", seed=0)
    expected = trunk_of(source)
    lacking = ["fc_norm.weight", "fc_norm.bias"] if form.startswith("MAE") else []
    assert begun.loaded.missing == lacking
    assert not begun.loaded.misshapen
    assert not begun.loaded.surplus
    assert begun.resized is None
    assert all(torch.equal(value, expected[name]) for name, value in trunk_of(network).items() if name not in lacking)
    assert all(torch.equal(value, aux[name]) for name, value in network.aux.state_dict().items())


def test_the_head_is_drawn_anew(tmp_path):
    torch.save(of_the_paper(cascade(0), "state_dict"), tmp_path / "x.pth")
    heads = []
    for seed in (0, 0, 1):
        network = cascade(2)
        before = torch.get_rng_state()
        load_pretrained(network, tmp_path / "x.pth", seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        heads.append(network.head.weight.detach())
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert float(torch.stack(heads).std()) == pytest.approx(2e-5, rel=0.3)
    assert heads[0].requires_grad is False
    assert cascade(2).head.weight.requires_grad


def test_positions_are_resized(tmp_path):
    source, network = cascade(0, image_size=32), cascade(1, image_size=56)
    torch.save(of_mae(source), tmp_path / "x.pth")
    begun = load_pretrained(network, tmp_path / "x.pth", seed=0)
    assert begun.resized == (4, 7)
    assert torch.equal(network.trunk.pos_embed, resized_position_embedding(source.trunk.pos_embed, 7))
    said = begun.in_words()
    assert said == (
        f"began with 28 tensors of {tmp_path / 'x.pth'}; position embedding resized from 4 x 4 to 7 x 7 patches; "
        "not in the file, so as initialised: fc_norm.weight, fc_norm.bias"
    )


def test_a_name_with_a_space_is_found_without_it(tmp_path):
    torch.save(of_mae(cascade(0)), tmp_path / "iNat18_Res_128.pth")
    begun = load_pretrained(cascade(1), tmp_path / "iNat18_ Res_128.pth", seed=0)
    assert begun.path == tmp_path / "iNat18_Res_128.pth"
    first = cascade(2)
    torch.save(of_mae(first), tmp_path / "iNat18_ Res_128.pth")
    network = cascade(1)
    assert load_pretrained(network, str(tmp_path / "iNat18_ Res_128.pth"), seed=0).path.name == "iNat18_ Res_128.pth"
    assert torch.equal(network.trunk.cls_token, first.trunk.cls_token)


def test_a_missing_file_says_who_asked_for_it_and_how_to_do_without(tmp_path):
    with pytest.raises(UserError) as error:
        load_pretrained(cascade(0), tmp_path / "no such.pth", seed=0)
    message = str(error.value)
    assert str(tmp_path / "no such.pth") in message
    assert "networks.feat_model.params.checkpoint" in message
    assert "--no_pretrained" in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"conv1.weight": torch.zeros(3)}},
        {"model": {"head.weight": torch.zeros(CLASSES, WIDTH)}},
        {"model": {}},
        {},
        [torch.zeros(3)],
        {"state_dict": "none"},
    ],
)
def test_a_file_of_something_else_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    network = cascade(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "x.pth"))):
        load_pretrained(network, tmp_path / "x.pth", seed=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_of_another_width_are_refused(tmp_path):
    torch.save(of_mae(cascade(0, width=16)), tmp_path / "x.pth")
    with pytest.raises(UserError, match="a checkpoint of another model"):
        load_pretrained(cascade(1), tmp_path / "x.pth", seed=0)


def test_what_does_not_fit_is_told(tmp_path):
    weights = dict(trunk_of(cascade(0)))
    weights["pos_embed"] = torch.zeros(1, 16, WIDTH)  # no class token
    weights["patch_embed.proj.weight"] = torch.zeros(WIDTH, 3, 16, 16)
    weights |= {f"blocks.{index}.norm1.weight": torch.ones(WIDTH) for index in range(2, 8)}
    torch.save(weights, tmp_path / "x.pth")
    network = cascade(1)
    begun = load_pretrained(network, tmp_path / "x.pth", seed=0)
    assert begun.loaded.misshapen == ["pos_embed", "patch_embed.proj.weight"]
    assert begun.resized is None
    assert begun.in_words().endswith(
        "; of another shape, so as initialised: pos_embed, patch_embed.proj.weight; not in the network, so left out: "
        "blocks.2.norm1.weight, blocks.3.norm1.weight, blocks.4.norm1.weight, blocks.5.norm1.weight and 2 more"
    )
    assert torch.equal(network.trunk.pos_embed, cascade(1).trunk.pos_embed)


def test_elsewhere_such_a_file_is_no_plain_data(tmp_path):
    torch.save(of_mae(cascade(0)), tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"holds argparse\.Namespace, which is no plain data"):
        load_plain(tmp_path / "x.pth")


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_a_file_that_could_run_a_program_is_refused(tmp_path, capsys):
    torch.save({**of_mae(cascade(0)), "more": Harmful()}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="could run a program"):
        load_pretrained(cascade(1), tmp_path / "x.pth", seed=0)
    assert capsys.readouterr().out == ""


def test_a_convolutional_trunk_is_a_callers_mistake(tmp_path):
    network = cascade(0)
    network.trunk = torch.nn.Identity()
    with pytest.raises(ValueError, match="not of Identity"):
        load_pretrained(network, tmp_path / "x.pth", seed=0)
