"""Vision transformers: timm's network and names, exact recomputation, and position embeddings of other sizes."""

import copy

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.vision_transformer import VisionTransformer as OfTimm
from torch import nn

from longtail.backbones import VIT_BACKBONES, CosineLinear, create_backbone, seeded_weights
from longtail.backbones.vision_transformer import VisionTransformer, patch_mean, resized_position_embedding
from longtail.errors import UserError

SMALL = {"image_size": 32, "patch_size": 8, "width": 24, "depth": 3, "num_heads": 4}


def small(seed=0, **options):
    with seeded_weights(seed):
        return VisionTransformer(**{**SMALL, "num_classes": 5, **options})


def timm_twin(seed=1):
    """timm's network, with biases and scales that are not 0 and 1."""
    torch.manual_seed(seed)
    twin = OfTimm(
        img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=4, num_classes=5, global_pool="avg", qkv_bias=True
    )
    for parameter in twin.parameters():
        nn.init.normal_(parameter, std=0.3)
    return twin.double().eval()


def images(count=2, side=32):
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("vit_tiny_patch16", "vit_tiny_patch16_224"),
        ("vit_small_patch16", "vit_small_patch16_224"),
        ("vit_base_patch16", "vit_base_patch16_224"),
    ],
)
def test_every_name_makes_the_network_of_timm(name, published):
    with torch.device("meta"):
        model = VIT_BACKBONES[name](num_classes=7)
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 7)
    reference = timm.create_model(published, num_classes=7, global_pool="avg")
    shapes = {key: tensor.shape for key, tensor in reference.state_dict().items()}
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == shapes
    assert {layer.eps for layer in model.modules() if isinstance(layer, nn.LayerNorm)} == {1e-6}


def test_number_of_parameters():
    with torch.device("meta"):
        base = VIT_BACKBONES["vit_base_patch16"]
        assert size(base(num_classes=1000)) == 86_567_656
        assert size(base(num_classes=1000, image_size=384)) == 86_859_496
        assert base(num_classes=5, image_size=384).pos_embed.shape == (1, 577, 768)


def test_features_logits_and_gradients_are_those_of_timm():
    reference = timm_twin()
    model = small().double().train()
    model.load_state_dict(reference.state_dict(), strict=True)
    batch, labels = images(), torch.tensor([0, 3])
    for network in (model, reference):
        nn.functional.cross_entropy(network(batch), labels).backward()
    torch.testing.assert_close(model(batch), reference(batch), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        model.features(batch), reference.forward_head(reference.forward_features(batch), pre_logits=True)
    )
    expected = {name: parameter.grad for name, parameter in reference.named_parameters()}
    torch.testing.assert_close({name: each.grad for name, each in model.named_parameters()}, expected)
    assert expected["cls_token"].abs().max() > 0  # the class token counts, though only as one that others look at


def test_the_stages_are_blocks_between_stem_and_pooling():
    model = small().double().eval()
    tokens = model.stem(images())
    assert tokens.shape == (2, 1 + 16, 24)
    torch.testing.assert_close(tokens[:, :1], (model.cls_token + model.pos_embed[:, :1]).expand(2, -1, -1))
    assert len(model.stages) == len(model.stage_widths) == 3
    for stage, width in zip(model.stages, model.stage_widths, strict=True):
        tokens = stage(tokens)
        assert tokens.shape == (2, 17, width)
    assert torch.equal(patch_mean(tokens), tokens[:, 1:].mean(1))
    assert torch.equal(model.pooled(tokens), model.fc_norm(patch_mean(tokens)))
    assert torch.equal(model(images()), model.head(model.pooled(tokens)))


@torch.no_grad()
def test_initial_weights():
    with seeded_weights(3):
        model = VisionTransformer(width=192, depth=2, num_heads=3, num_classes=1000, image_size=64)
    weights = model.state_dict()
    for name in ("cls_token", "pos_embed", "blocks.1.attn.qkv.weight", "blocks.0.mlp.fc2.weight", "head.weight"):
        assert float(weights[name].std()) == pytest.approx(0.02, rel=0.25 if name == "cls_token" else 0.05)
    biases = [name for name in weights if name.endswith("bias") and "patch_embed" not in name]
    assert all(not weights[name].any() for name in biases)
    bound = (3 * 16 * 16) ** -0.5  # torch's default for a convolution is uniform
    assert 0.99 * bound < float(weights["patch_embed.proj.weight"].abs().max()) <= bound
    assert weights["patch_embed.proj.bias"].any()


@torch.no_grad()
def test_the_cosine_head():
    model = create_backbone("vit_tiny_patch16", num_classes=7, head="cosine", seed=0, image_size=32).eval()
    assert isinstance(model.head, CosineLinear)
    assert model(images().float()).abs().max() <= 1 + 1e-6
    with pytest.raises(UserError, match="no head is called 'norm'"):
        small(head="norm")


def test_drop_path_grows_with_depth():
    model = small(depth=12, drop_path=0.1)
    published = [0, 0.009091, 0.018182, 0.027273, 0.036364, 0.045455, 0.054545, 0.063636, 0.072727, 0.081818, 0.090909, 0.1]
    rates = [getattr(branch, "drop_prob", 0.0) for block in model.blocks for branch in (block.drop_path1, block.drop_path2)]
    assert rates == pytest.approx([rate for rate in published for _ in range(2)], abs=5e-7)
    assert model.stage_widths == (24,) * 12


def test_one_block_drops_nothing():
    assert isinstance(small(depth=1, drop_path=0.5).blocks[0].drop_path1, nn.Identity)


def gradients(model, batch, seed):
    torch.manual_seed(seed)
    logits = model(batch)
    nn.functional.cross_entropy(logits, torch.arange(len(batch)) % 5).backward()
    return [logits.detach(), torch.get_rng_state(), *(parameter.grad for parameter in model.parameters())]


def test_recomputed_blocks_leave_out_what_they_had_left_out():
    plain = small(drop_path=0.5).train()
    recomputed = small(drop_path=0.5, checkpointing=True).train()
    batch = images(6).float()
    expected = gradients(plain, batch, seed=4)
    assert all(torch.equal(*pair) for pair in zip(gradients(recomputed, batch, seed=4), expected, strict=True))
    plain.zero_grad()
    assert not torch.equal(gradients(plain, batch, seed=5)[0], expected[0])


def test_recomputing_under_autocast():
    batch = images(3).float()
    results = []
    for checkpointing in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            results.append(gradients(small(checkpointing=checkpointing), batch, seed=1))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_recomputed_blocks_keep_their_inputs_alone():
    kept = {}
    for checkpointing in (False, True):
        saved = []

        def keep(tensor, saved=saved):
            saved.append(tensor)
            return tensor

        model = small(checkpointing=checkpointing)
        tokens = model.stem(images().float()).detach().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            for block in model.stages:
                tokens = block(tokens)
        parameters = {parameter.data_ptr() for parameter in model.parameters()}
        storages = {each.data_ptr(): each.numel() for each in saved if each.data_ptr() not in parameters}
        kept[checkpointing] = sum(storages.values())
    assert kept[True] <= 3 * 2 * 17 * 24
    assert kept[False] > 5 * kept[True]


def test_blocks_are_not_recomputed_for_evaluation(monkeypatch):
    model = small(checkpointing=True).eval()
    monkeypatch.setattr("longtail.backbones.vision_transformer.checkpoint", None)
    with torch.no_grad():
        assert model(images().float()).shape == (2, 5)


def test_a_copy_is_a_network_of_its_own():
    model = small(checkpointing=True)
    twin = copy.deepcopy(model)
    nn.init.zeros_(twin.cls_token)
    assert model.cls_token.any()
    assert all(block.checkpointing for block in twin.blocks)


def test_a_size_that_patches_do_not_cover_is_refused():
    with pytest.raises(UserError, match=r"patches of 16 px, which 250 px is no multiple of; .* 256"):
        create_backbone("vit_tiny_patch16", num_classes=5, seed=0, image_size=250)
    with pytest.raises(UserError, match=r"which 0 px is no multiple"):
        small(image_size=0)


def test_images_of_another_size_are_refused():
    with pytest.raises(UserError, match="made for images of 32 px, these have 32 x 40"):
        small()(torch.zeros(1, 3, 32, 40))


def test_the_size_of_images_is_nothing_to_other_networks():
    first, second = (create_backbone("resnet20", num_classes=5, seed=0, image_size=side) for side in (32, 33))
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))


def test_a_resized_position_embedding_has_the_published_values():
    embedding = torch.arange(10, dtype=torch.float64).reshape(1, 5, 2)
    found = resized_position_embedding(embedding, 3)
    first = [0, 1.4791666667, 2.6527777778, 3.8263888889, 3.8263888889, 5, 6.1736111111, 6.1736111111, 7.3472222222]
    first.append(8.5208333333)
    assert found.shape == (1, 10, 2)
    assert found[0, :, 0].tolist() == pytest.approx(first, abs=6e-11)
    assert found[0, :, 1].tolist() == pytest.approx([value + 1 for value in first], abs=6e-11)


@given(old=st.integers(1, 9), new=st.integers(1, 9), width=st.integers(1, 3))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_a_resized_position_embedding_is_timms_without_antialiasing(old, new, width):
    embedding = torch.randn(1, 1 + old * old, width, generator=torch.Generator().manual_seed(old))
    found = resized_position_embedding(embedding, new)
    expected = timm.layers.resample_abs_pos_embed(embedding, [new, new], num_prefix_tokens=1, antialias=False)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found[:, 0], embedding[:, 0])


def test_a_resized_position_embedding_keeps_its_dtype():
    assert resized_position_embedding(torch.zeros(1, 5, 2, dtype=torch.bfloat16), 3).dtype == torch.bfloat16


@pytest.mark.parametrize(("shape", "grid"), [((1, 6, 2), 3), ((5, 2), 3), ((2, 5, 2), 3), ((1, 1, 2), 3), ((1, 5, 2), 0)])
def test_what_is_no_position_embedding_of_a_square_is_refused(shape, grid):
    with pytest.raises(ValueError, match=r"position embedding|square of patches"):
        resized_position_embedding(torch.zeros(shape), grid)
