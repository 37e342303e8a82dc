"""`longtail predict` with a run on the digits."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import train, write_digits

import longtail as package


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "digits")


@pytest.fixture
def photos(tmp_path):
    return write_digits(tmp_path / "photos")


def predict(longtail, run, *words):
    return longtail("predict", run, *words, "--device", "cpu")


def expected(run, photos):
    paths = sorted(photos.glob("*/*.png"))
    return [str(path) for path in paths], package.load_run(run, device="cpu").predict(paths).top(3)


def test_a_folder_becomes_a_table(longtail, run, photos):
    ended = predict(longtail, run, photos, "--top-k", 3, "--out", "made/here.csv")
    assert (ended.code, ended.out) == (0, "predictions of 20 images: made/here.csv\n")
    with Path("made/here.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "class_1", "probability_1", "class_2", "probability_2", "class_3", "probability_3"]
    paths, tops = expected(run, photos)
    assert [row[0] for row in rows] == paths
    assert [[*row[1::2]] for row in rows] == [[name for name, _ in top] for top in tops]
    assert [float(each) for each in rows[0][2::2]] == pytest.approx([each for _, each in tops[0]], abs=2e-6)


def test_json_to_a_file_and_to_standard_output_is_the_same(longtail, run, photos):
    ended = predict(longtail, run, photos, "--out", "here.json", "--json", "--batch-size", 7)
    assert (ended.code, ended.err) == (0, "")
    with Path("here.json").open() as file:
        record = json.load(file)
    assert json.loads(ended.out) == record
    assert (record["format"], record["checkpoint"], record["epoch"], len(record["images"])) == (1, "best", 1, 20)
    assert all(len(each["top"]) == 5 and set(each["top"][0]) == {"class", "probability"} for each in record["images"])


def test_a_file_that_is_there_is_replaced_only_by_force(longtail, run, photos):
    Path("here.csv").write_text("mine")
    refused = predict(longtail, run, photos, "--out", "here.csv")
    assert (refused.code, refused.out) == (2, "")
    assert "here.csv is there already; --force replaces it" in refused.err
    assert Path("here.csv").read_text() == "mine"
    assert predict(longtail, run, photos, "--out", "here.csv", "--force").code == 0
    assert Path("here.csv").read_text().startswith("path,class_1")


def test_where_nothing_can_be_written_nothing_is_classified(longtail, run, photos, monkeypatch):
    monkeypatch.setattr("longtail.training.trained.TrainedRun.predict_files", None)
    Path("file").write_text("mine")
    for out, message in (("file/here.csv", "cannot make the folder file"), (photos, "must end in .csv or .json")):
        ended = predict(longtail, run, photos, "--out", out)
        assert (ended.code, message in ended.err) == (2, True)
    Path("folder.csv").mkdir()
    assert "folder.csv is a folder" in predict(longtail, run, photos, "--out", "folder.csv", "--force").err


def test_probabilities_for_another_class_prior(longtail, run, photos):
    counts = {str(digit): digit for digit in range(10)}
    Path("shares.json").write_text(json.dumps(counts))
    ended = predict(longtail, run, photos, "--target-prior", "shares.json", "--json", "--top-k", 10)
    assert (ended.code, "prior of shares.json - log prior of train, which they are taken" in ended.err) == (0, True)
    record = json.loads(ended.out)
    assert (record["target_prior"], record["source_prior"]) == ("shares.json", "train")
    trained = package.load_run(run, device="cpu")
    weights = np.arange(10) / trained.class_counts
    weighted = trained.predict(sorted(photos.glob("*/*.png"))).probabilities * weights
    for image, row in zip(record["images"], weighted / weighted.sum(axis=1, keepdims=True), strict=True):
        told = {each["class"]: each["probability"] for each in image["top"]}
        assert [told[str(digit)] for digit in range(10)] == pytest.approx(list(row), abs=2e-6)
    assert json.loads(predict(longtail, run, photos, "--json").out)["target_prior"] is None


def test_lines_for_a_person(longtail, run, photos):
    ended = predict(longtail, run, photos / "3" / "0.png", photos / "3" / "1.png", "--top-k", 1)
    assert ended.code == 0
    paths, tops = expected(run, photos)
    place = paths.index(str(photos / "3" / "0.png"))
    ((name, share),) = tops[place][:1]
    assert ended.out.splitlines()[0] == f"{paths[place]}  {name} {100 * share:.1f} %"
    assert len(ended.out.splitlines()) == 2
    assert "\x1b" not in ended.out


def test_patterns_that_the_shell_left_alone(longtail, run, photos):
    ended = predict(longtail, run, f"{photos}/*/0.png", "--json")
    assert len(json.loads(ended.out)["images"]) == 10


def test_an_image_that_cannot_be_read_loses_nothing_else(longtail, run, photos):
    (photos / "4" / "broken.png").write_bytes(b"no picture")
    failed = predict(longtail, run, photos, "--out", "here.csv")
    assert failed.code == 2
    assert "1 image cannot be read:\n" in failed.err
    assert "4/broken.png: no picture" in failed.err
    with Path("here.csv").open() as file:
        assert len(file.readlines()) == 21
    skipped = predict(longtail, run, photos, "--json", "--on-bad-image", "skip")
    assert skipped.code == 0
    assert skipped.err.startswith("notice: 1 image cannot be read")
    assert [each["path"] for each in json.loads(skipped.out)["left_out"]] == [str(photos / "4" / "broken.png")]
    nothing = predict(longtail, run, photos / "4" / "broken.png", "--on-bad-image", "skip")
    assert (nothing.code, nothing.err.splitlines()[0]) == (2, "longtail: error: none of the images can be read:")


def test_names_with_commas_and_brackets_come_through(longtail, run, photos):
    odd = photos / "3" / "a, [b]\t.png"
    (photos / "3" / "0.png").rename(odd)
    assert "a, [b]\\t.png" in predict(longtail, run, odd).out
    assert predict(longtail, run, odd, "--out", "here.csv").code == 0
    with Path("here.csv").open(newline="") as file:
        assert list(csv.reader(file))[1][0] == str(odd)


def test_a_run_that_has_not_finished_is_noticed(longtail, run, photos, tmp_path):
    (tmp_path / "copy").mkdir()
    for file in run.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    record = json.loads((run / "run.json").read_text())
    (tmp_path / "copy" / "run.json").write_text(json.dumps({**record, "finished": False}))
    ended = predict(longtail, tmp_path / "copy", photos)
    assert ended.code == 0
    assert "has not come to its end; this is the best epoch so far, after epoch 1" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: RUN, IMAGES"),
        ("nowhere x.png", "no file or folder x.png"),
        ("nowhere {run}", "no image in "),
        ("{run} {run} --out table.txt", "must end in .csv or .json"),
        ("{photos} {photos}", "is not the folder of a run"),
        ("{run} {photos} --top-k 0", "--top-k: must be at least 1"),
        ("{run} {photos} --source-prior train", "name a target too"),
        ("{run} {photos} --target-prior nowhere.csv", "there is no file nowhere.csv"),
        ("{run} {photos} --device tpu", "--device tpu: no such device"),
    ],
)
def test_mistakes_exit_with_2(longtail, run, photos, words, message):
    ended = longtail("predict", *words.format(run=run, photos=photos).split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
