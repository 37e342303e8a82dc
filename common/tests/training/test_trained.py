"""Runs that are loaded again: they predict as they did when they were judged, and mistakes are told."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import longtail
from longtail.cli.main import dispatch
from longtail.datasets.digits import load_digits
from longtail.datasets.labelled import load_labelled
from longtail.errors import UserError
from longtail.losses import LDAM
from longtail.training.priors import Adjustment, adjustment, prior_shares
from longtail.training.trained import Predictions

BATCH, STEPS = 16, 2
TINY = (
    "--backbone",
    "resnet20",
    "--batch-size",
    BATCH,
    "--epochs",
    1,
    "--max-steps",
    STEPS,
    "--device",
    "cpu",
    "--progress",
    "none",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Trains for two batches and returns the run folder."""

    def call(*words):
        folder = tmp_path_factory.mktemp("runs") / "run"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            patch.setattr("sys.argv", ["longtail", "train"])
            dispatch(["train", *map(str, (*words, *TINY)), "--out", str(folder)])
        return folder

    return call


@pytest.fixture(scope="module")
def digits():
    return load_digits().test


@pytest.fixture(scope="module")
def folder(train):
    return train("erm", "--loss", "balanced_softmax")


@pytest.fixture(scope="module")
def run(folder):
    return longtail.load_run(folder, device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Class folders of pictures of several sizes."""
    root = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 3), ("test", 2)):
        for shade, name in ((40, "dark"), (200, "light")):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                picture = np.full((20 + number, 30, 3), shade, dtype=np.uint8)
                picture[:5, :5] = 255 - shade
                Image.fromarray(picture).save(root / part / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def photo_run(train, photos):
    folder = train("erm", "--data", "folder", "--root", photos, "--image-size", 16, "--workers", 0)
    return longtail.load_run(folder, device="cpu")


@pytest.fixture
def copy(folder, tmp_path):
    """The run's folder, to be damaged, and its record."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy", json.loads((folder / "run.json").read_text())


def rewrite(folder, record):
    (folder / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize("which", ["best", "last"])
def test_it_is_judged_as_it_was(folder, digits, which):
    run = longtail.load_run(folder, which, device="cpu")
    judged = run.evaluate(digits.subset(range(BATCH * STEPS)), batch_size=BATCH)["plain"].to_dict()
    assert {"epoch": 0, **judged} == run.record["results"][which]
    assert (run.epoch, run.method, run.is_finished, run.logit_scale) == (1, "erm", True, 1.0)


def test_what_the_run_knows_of_its_data(run):
    data = load_digits()
    assert run.class_names == data.train.class_names
    assert run.class_counts.tolist() == data.class_counts.tolist()
    assert (run.image_size, run.mean, run.std) == (data.image_size, data.mean, data.std)
    assert not run.recipe.training


def test_probabilities_are_those_of_the_logits(run, digits):
    images = digits.images.array[:5]
    scaled = (images.astype(np.float32) / 255 - np.float32(run.mean)) / np.float32(run.std)
    expected = torch.softmax(run.recipe.predict(torch.from_numpy(scaled).permute(0, 3, 1, 2)), dim=1)
    predictions = run.predict(images)
    assert predictions.probabilities.dtype == np.float32
    np.testing.assert_allclose(predictions.probabilities, expected.numpy(), atol=1e-6)
    assert predictions.classes == [run.class_names[label] for label in expected.argmax(dim=1)]


def test_images_of_every_kind_are_seen_alike(run, digits, tmp_path):
    arrays = list(digits.images.array[:3])
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    expected = run.predict(np.stack(arrays)).probabilities
    for images in (arrays, paths, [str(path) for path in paths], map(Image.open, paths), [arrays[0], paths[1], arrays[2]]):
        np.testing.assert_array_equal(run.predict(images).probabilities, expected)
    for single in (arrays[0], paths[0], str(paths[0]), Image.open(paths[0])):
        np.testing.assert_allclose(run.predict(single).probabilities, expected[:1], atol=1e-6)
    np.testing.assert_allclose(run.predict(paths, batch_size=2).probabilities, expected, atol=1e-6)
    assert run.predict([]).probabilities.shape == (0, 10)


def test_files_of_another_size_are_brought_to_the_run_s(run, digits, tmp_path):
    Image.fromarray(digits.images.array[0]).resize((64, 48)).save(tmp_path / "large.png")
    assert len(run.predict(tmp_path / "large.png")) == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((32, 32, 3), dtype=np.uint8), "16 x 16 pixels, got an array of 32 x 32"),
        (np.zeros((16, 16, 3)), "got float64"),
        (np.zeros((16, 16), dtype=np.uint8), r"got uint8 \(16, 16\)"),
        ([3], "not int"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(run, array, message):
    with pytest.raises(UserError, match=message):
        run.predict(array)


def test_a_file_that_cannot_be_read_is_named(run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"bad\.png cannot be read: no picture"):
        run.predict(tmp_path / "bad.png")
    (done,) = run.predict_files([tmp_path / "bad.png", tmp_path / "absent.png"])
    assert (done.read, len(done.predictions), [path.name for path, _ in done.unreadable]) == ([], 0, ["bad.png", "absent.png"])


def test_the_best_classes_come_first_and_ties_in_order():
    predictions = Predictions(np.array([[0.2, 0.4, 0.4], [0.5, 0.2, 0.3]], dtype=np.float32), ("a", "b", "c"))
    assert [[name for name, _ in top] for top in predictions.top(2)] == [["b", "c"], ["a", "c"]]
    assert predictions.top(9)[1] == [("a", 0.5), ("c", pytest.approx(0.3)), ("b", pytest.approx(0.2))]
    assert predictions.classes == ["b", "a"]
    assert predictions.labels.tolist() == [1, 0]
    with pytest.raises(ValueError, match="at least 1"):
        predictions.top(0)


def test_cosines_get_the_scale_of_their_loss(train, digits):
    run = longtail.load_run(train("erm", "--loss", "ldam"), device="cpu")
    (loss,) = (each for each in run.recipe.modules() if isinstance(each, LDAM))
    assert run.logit_scale == loss.scale == 30
    some = digits.subset(range(BATCH * STEPS))
    judged, known = run.evaluate(some, batch_size=BATCH)["plain"], run.record["results"]["best"]
    assert (judged.accuracy, judged.loss) == (known["accuracy"], pytest.approx(known["loss"], rel=1e-5))
    assert run.predict(digits.images.array[:50]).probabilities.max() > 0.3  # softmax of bare cosines: at most e^2 / (e^2 + 9)


def test_own_files_are_framed_as_in_evaluation(photo_run, photos):
    test = load_labelled(photos, photo_run.class_names)
    judged = photo_run.evaluate(test)["plain"]
    assert judged.accuracy == photo_run.record["results"]["best"]["accuracy"]
    predictions = photo_run.predict([test.images.root / path for path in test.images.paths])
    assert (predictions.labels == test.labels).mean() == pytest.approx(judged.accuracy)
    array = np.asarray(Image.open(photos / "test" / "dark" / "1.png"))
    np.testing.assert_array_equal(
        photo_run.predict(array).probabilities, photo_run.predict(photos / "test" / "dark" / "1.png").probabilities
    )


def test_photos_are_turned_upright(photo_run, tmp_path):
    array = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(array).rotate(180).save(tmp_path / "turned.png", exif=exif)
    expected = photo_run.predict(array).probabilities
    np.testing.assert_array_equal(photo_run.predict(tmp_path / "turned.png").probabilities, expected)
    np.testing.assert_array_equal(photo_run.predict(Image.open(tmp_path / "turned.png")).probabilities, expected)


def test_an_unfinished_run_says_so(copy):
    folder, record = copy
    rewrite(folder, {**record, "finished": False})
    assert not longtail.load_run(folder, device="cpu").is_finished


def test_mistakes_about_runs_are_told(copy, tmp_path):
    folder, _ = copy

    def mistake(path=folder, which="best"):
        with pytest.raises(UserError) as error:
            longtail.load_run(path, which, device="cpu")
        return str(error.value)

    assert mistake(tmp_path).endswith(f"it has no run.json; {folder} is one")
    assert "it has no run.json, as `longtail train` writes it" in mistake(tmp_path / "nowhere")
    assert "give the folder of the run" in mistake(folder / "run.json")
    with pytest.raises(UserError, match="erm predicts in one way only; there is no reading 'flip'"):
        longtail.load_run(folder, reading="flip", device="cpu")
    (folder / "ckpt.best.pth.tar").unlink()
    assert "no best checkpoint ckpt.best.pth.tar yet, but ckpt.pth.tar, which --which last takes" in mistake()
    (folder / "ckpt.pth.tar").write_bytes(b"damaged")
    assert "is not a readable checkpoint" in mistake(which="last")
    (folder / "ckpt.pth.tar").unlink()
    assert "has no checkpoint ckpt.pth.tar" in mistake(which="last")
    with pytest.raises(ValueError, match="best and last"):
        longtail.load_run(folder, "first")


def test_runs_that_cannot_be_made_again_are_told(copy):
    folder, record = copy

    def mistake(**changes):
        rewrite(folder, {name: value for name, value in {**record, **changes}.items() if value is not None})
        with pytest.raises(UserError) as error:
            longtail.load_run(folder, device="cpu")
        return str(error.value)

    command = "longtail train erm --data digits"
    assert f"of an older version: its run.json does not tell class names and image size.\nTrain it again: {command}" in mistake(
        model=None, command=command
    )
    assert "is not a run of `longtail train`, but of: cifar_train.py --gpu 0" in mistake(
        model=None, command="cifar_train.py --gpu 0"
    )
    assert "no method 'magic' is installed" in mistake(model={**record["model"], "method": "magic"})
    options = {**record["model"]["options"], "sorcery": 1}
    assert "written by another version of erm" in mistake(model={**record["model"], "options": options})
    assert "by another version of erm, or changed" in mistake(input={**record["input"], "class_names": ["a", "b"]})
    assert "is not a run of `longtail train`, but of: x" in mistake(identity=None, command="x")
    assert "checkpoint of another model" in mistake(model={**record["model"], "backbone": "resnet32"})


def test_priors_by_name_and_from_files(run, tmp_path):
    np.testing.assert_allclose(prior_shares("uniform", run), 0.1)
    np.testing.assert_allclose(prior_shares("train", run), run.class_counts / run.class_counts.sum())
    (tmp_path / "p.json").write_text(json.dumps({str(digit): digit for digit in range(10)}))
    (tmp_path / "p.csv").write_text("class,share\n" + "".join(f"{digit},{digit}\n" for digit in range(10)))
    (tmp_path / "list.json").write_text(json.dumps(list(range(10))))
    for name in ("p.json", "p.csv", "list.json"):
        np.testing.assert_allclose(prior_shares(str(tmp_path / name), run), np.arange(10) / 45)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "2 shares, the run has 10 classes"),
        ('{"0": 1}', "no share of class '1'"),
        (json.dumps({str(c): 1 for c in range(11)}), "a class '10' that the run does not know"),
        (json.dumps([-1] + 9 * [1]), "number of at least 0, got -1"),
        (json.dumps(10 * [0]), "all shares are 0"),
        ("{", "neither JSON nor a CSV"),
        ("3", "maps each class to its share, or lists the shares"),
    ],
)
def test_priors_that_say_nothing_are_refused(run, tmp_path, content, message):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(UserError, match=message):
        prior_shares(str(tmp_path / "p.json"), run)


def test_a_prior_without_a_file(run):
    with pytest.raises(UserError, match="there is no file even"):
        prior_shares("even", run)


def test_a_table_of_shares_may_lack_a_header_and_names_no_class_twice(run, tmp_path):
    table = tmp_path / "p.csv"
    table.write_text("".join(f'"{digit}", {digit}\n' for digit in range(10)))
    np.testing.assert_allclose(prior_shares(table, run), np.arange(10) / 45)
    for added, message in (("3,1\n", "line 11 names class '3' again"), ("3\n", "line 11 has one column")):
        table.write_text("".join(f"{digit},{digit}\n" for digit in range(10)) + added)
        with pytest.raises(UserError, match=message):
            prior_shares(table, run)


def test_the_adjustment_is_bayes_rule():
    source, target = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.0, 0.8])
    likelihood = np.array([0.3, 0.5, 0.2])
    logits = torch.from_numpy(np.log(likelihood * source)).float()
    expected = likelihood * target / (likelihood * target).sum()
    shift = Adjustment("train", "mine", source, target).shift
    np.testing.assert_allclose(torch.softmax(logits + shift, dim=0).numpy(), expected, atol=1e-6)


def test_a_source_without_one_of_the_classes_is_refused(run):
    with pytest.raises(UserError, match="the shares given, gives class '0' no share"):
        adjustment(run, "uniform", list(range(10)))


def test_an_adjusted_run_predicts_and_is_judged_for_the_prior(run, digits):
    some = digits.subset(range(BATCH * STEPS))
    counts = {name: 1 + int(name) for name in run.class_names}
    adjusted = run.adjusted(counts, "uniform")
    weighted = run.predict(some.images.array).probabilities * np.arange(1, 11)
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adjusted.predict(some.images.array).probabilities, expected, atol=1e-6)
    judged = adjusted.evaluate(some)["plain"]
    assert (judged.accuracy, judged.loss) == (pytest.approx((expected.argmax(axis=1) == some.labels).mean()), None)
    assert run.adjustment is None
    assert adjusted.adjusted("train").adjustment.to_dict()["source_prior"] == "uniform"


def test_an_adjustment_says_what_was_assumed(run):
    assert str(run.adjusted("train").adjustment) == (
        "logits + log prior of train - log prior of uniform, which they are taken to have learnt, see --source-prior"
    )
    assert str(run.adjusted("train", "train").adjustment).endswith("- log prior of train; this changes nothing")


def test_balanced_softmax_has_taken_the_prior_out_itself(run, photo_run):
    assert (run.recipe.learnt_prior, photo_run.recipe.learnt_prior) == ("uniform", "train")


def test_importing_longtail_imports_nothing_heavy():
    code = "import longtail, sys; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)), 'load_run' in dir(longtail))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[] True\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        longtail.nothing  # noqa: B018
