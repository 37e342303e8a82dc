"""`longtail export` with a run on the digits: what other programs read answers as PyTorch does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import train, write_digits

import longtail as package
from longtail.datasets.digits import load_digits
from longtail.errors import UserError
from longtail.training import exporting


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "digits")


@pytest.fixture(scope="module")
def images():
    return load_digits().test.images.array[:5]


def shown(images, sidecar):
    """The images as the sidecar says, in numpy alone."""
    values = (images.astype(np.float32) / 255 - np.float32(sidecar["mean"])) / np.float32(sidecar["std"])
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sidecar_of(file):
    return json.loads(Path(f"{file}.json").read_text())


def test_a_program_of_torch_export(longtail, run, images):
    ended = longtail("export", run, "--format", "torch", "--out", "out/net.pt2")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[1] == "how to use it: out/net.pt2.json"
    about = sidecar_of("out/net.pt2")
    program = torch.export.load("out/net.pt2").module()
    for some in (images, images[:1]):
        logits = program(torch.from_numpy(shown(some, about))).detach().numpy()
        expected = package.load_run(run, device="cpu").predict(some).probabilities
        np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)
    assert about["class_names"] == [str(digit) for digit in range(10)]
    assert about["input"] == {"name": "images", "dtype": "float32", "shape": ["batch", 3, 16, 16]}


def test_onnx(longtail, run, images):
    for needed in ("onnx", "onnxscript"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    ended = longtail("export", run, "--format", "onnx", "--out", "net.onnx", "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert told["bytes"] == Path("net.onnx").stat().st_size
    assert told["difference"] <= 1e-4
    session = runtime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    about = sidecar_of("net.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["longtail"]) == about
    for some in (images, images[:1]):
        (logits,) = session.run(["logits"], {"images": shown(some, about)})
        expected = package.load_run(run, device="cpu").predict(some).probabilities
        np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)


def test_an_adjusted_network_has_the_adjustment_in_its_logits(longtail, run, images):
    Path("shares.csv").write_text("class,share\n" + "".join(f"{digit},{digit}\n" for digit in range(10)))
    ended = longtail("export", run, "--format", "torch", "--out", "net.pt2", "--target-prior", "shares.csv", "--json")
    assert (ended.code, json.loads(ended.out)["target_prior"]) == (0, "shares.csv")
    about = sidecar_of("net.pt2")
    assert about["in_the_network"] == ["add log target_shares - log source_shares of adjustment"]
    assert about["postprocessing"] == ["softmax over the classes gives probabilities"]
    assert about["adjustment"]["target_shares"] == pytest.approx([digit / 45 for digit in range(10)])
    logits = torch.export.load("net.pt2").module()(torch.from_numpy(shown(images, about))).detach().numpy()
    expected = package.load_run(run, device="cpu").adjusted("shares.csv").predict(images).probabilities
    assert (expected[:, 0] == 0).all()
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)


def test_weights_alone_come_with_the_steps_that_are_left_to_do(run):
    adjusted = package.load_run(run, device="cpu").adjusted("uniform")
    about = exporting.describe(adjusted, "safetensors")
    assert (about["in_the_network"], len(about["postprocessing"])) == ([], 2)
    assert about["postprocessing"][0].startswith("add log target_shares")


_DOCS = Path(__file__).parents[3] / "docs" / "own_data.md"


@pytest.mark.skipif(not _DOCS.is_file(), reason="the documentation is not beside these tests")
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_documentation_s_program_answers_as_predict_does(longtail, tmp_path, orientation):
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    photos = write_digits(tmp_path / "photos", each=5)
    run = train(tmp_path / "run", f"erm --max-steps 2 --data {photos} --image-size 19 --workers 0")
    array = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (47, 70, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(array).save("photo.jpg", exif=exif)
    assert longtail("export", run, "--format", "onnx", "--out", "model.onnx").code == 0
    (program,) = re.findall(r"```python\n(import json, .*?)```", _DOCS.read_text(), flags=re.DOTALL)
    names = {}
    exec(program, names)
    expected = package.load_run(run, device="cpu").predict("photo.jpg").probabilities
    np.testing.assert_allclose(softmax(names["logits"]), expected, atol=5e-3)


def test_safetensors_hold_the_weights_of_the_checkpoint(longtail, run):
    package_of = pytest.importorskip("safetensors", reason="safetensors is not installed")
    ended = longtail("export", run, "--format", "safetensors")
    assert ended.code == 0, ended.err
    file = run / "model.safetensors"
    weights = torch.load(run / "ckpt.best.pth.tar", weights_only=True)["state_dict"]
    with package_of.safe_open(str(file), "pt") as opened:
        assert set(opened.keys()) == set(weights)
        assert all(torch.equal(opened.get_tensor(name), weights[name]) for name in weights)
        assert json.loads(opened.metadata()["longtail"]) == sidecar_of(file)


def test_nothing_is_overwritten_unless_forced(longtail, run):
    Path("net.pt2.json").write_text("mine")
    refused = longtail("export", run, "--format", "torch", "--out", "net.pt2")
    assert refused.code == 2
    assert "net.pt2.json is there already; --force replaces it" in refused.err
    assert (Path("net.pt2.json").read_text(), Path("net.pt2").exists()) == ("mine", False)
    assert longtail("export", run, "--format", "torch", "--out", "net.pt2", "--force").code == 0
    assert sidecar_of("net.pt2")["form"] == "torch"


def test_a_missing_package_is_named(longtail, run, monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxruntime" else object())
    ended = longtail("export", run, "--format", "onnx", "--out", "net.onnx")
    assert ended.code == 2
    assert "--format onnx needs onnxruntime: pip install onnxruntime" in ended.err
    assert not Path("net.onnx").exists()


def test_a_network_that_answers_otherwise_is_not_written(run):
    loaded = package.load_run(run, device="cpu")
    network = exporting._Network(loaded)
    assert exporting._compared(loaded, network, network) == 0
    for wrong in (
        lambda images: network(images) + 1,
        lambda images: network(images)[:, 1:],
        lambda images: network(images) * np.nan,
    ):
        with pytest.raises(UserError, match="differ from PyTorch's by up to"):
            exporting._compared(loaded, network, wrong)


def test_mistakes_exit_with_2(longtail, run):
    for words, message in (
        ((run,), "required: --format"),
        ((run, "--format", "tflite"), "invalid choice: 'tflite'"),
        (("nowhere", "--format", "torch"), "is not the folder of a run"),
        ((run, "--format", "torch", "--out", run), "is a folder; give the name of a file"),
    ):
        ended = longtail("export", *words)
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.err
    with pytest.raises(ValueError, match="exports have the forms onnx, torch, safetensors"):
        exporting.export_run(package.load_run(run, device="cpu"), "tflite", Path("x"))
