"""`longtail eval` with runs on the digits and on class folders."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import train, write_digits

import longtail as package
from longtail.datasets.labelled import load_labelled


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "digits", "erm")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("photos") / "photos", each=4)


def evaluate(longtail, run, *words):
    return longtail("eval", run, *words, "--device", "cpu", "--workers", 0)


def as_json(longtail, run, *words):
    ended = evaluate(longtail, run, *words, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_its_own_test_images_give_what_training_told(longtail, run):
    record = as_json(longtail, run, "--batch-size", 16)
    known = json.loads((run / "run.json").read_text())["results"]["best"]
    assert record["results"] == {"plain": {name: value for name, value in known.items() if name != "epoch"}}
    assert (record["data"], record["images"], record["classes_without_images"]) == ("digits", 500, [])
    assert as_json(longtail, run, "--data", "digits", "--batch-size", 16) == record


def test_every_test_distribution_is_a_weighted_mean_of_the_classes(longtail, run):
    record = as_json(longtail, run)
    accuracies = np.array(record["results"]["plain"]["per_class_accuracy"])
    counts = np.array(json.loads((run / "run.json").read_text())["class_counts"])
    assert (np.diff(counts) < 0).all()
    for row in record["test_distributions"]:
        sizes = row["ratio"] ** (-np.arange(10) / 9)
        weights = sizes if row["direction"] == "forward" else sizes[::-1]
        assert row["accuracy"]["plain"] == pytest.approx((weights * accuracies).sum() / weights.sum())
    assert [row["ratio"] for row in record["test_distributions"]] == [50, 25, 10, 5, 2, 1, 2, 5, 10, 25, 50]


def test_adjusted_logits_are_judged_beside_the_others(longtail, run):
    record = as_json(longtail, run, "--target-prior", "uniform")
    assert (record["source_prior"], record["target_prior"]) == ("train", "uniform")
    assert set(record["results"]) == set(record["test_distributions"][0]["accuracy"]) == {"plain", "adjusted"}
    assert record["results"]["plain"] != record["results"]["adjusted"]
    same = as_json(longtail, run, "--target-prior", "train")["results"]
    assert same["adjusted"] == same["plain"]


def test_a_class_that_is_not_expected_is_not_predicted_and_nothing_else_changes(longtail, run):
    Path("shares.json").write_text(json.dumps([0, *9 * [1]]))
    told = as_json(longtail, run, "--target-prior", "shares.json")["results"]
    assert told["plain"] == as_json(longtail, run)["results"]["plain"]
    assert (told["adjusted"]["per_class_accuracy"][0], told["adjusted"]["nll"]) == (0, None)


def test_the_prior_of_a_loss_that_takes_it_out_is_uniform(longtail, tmp_path):
    balanced = train(tmp_path / "balanced", "erm --max-steps 2 --loss balanced_softmax")
    assert as_json(longtail, balanced, "--target-prior", "train")["source_prior"] == "uniform"
    told = as_json(longtail, balanced, "--target-prior", "train", "--source-prior", "train")
    assert told["results"]["plain"] == told["results"]["adjusted"]


def test_folders_of_files_give_what_the_same_arrays_give(longtail, run, photos):
    record = as_json(longtail, run, "--data", photos)
    data = load_labelled(photos, tuple(map(str, range(10))))
    predictions = package.load_run(run, device="cpu").predict([photos / path for path in data.images.paths])
    assert record["results"]["plain"]["accuracy"] == pytest.approx((predictions.labels == data.labels).mean())
    assert record["images"] == 40


def test_classes_without_images_are_told_and_left_out(longtail, run, photos, tmp_path):
    for name in "0123":
        (tmp_path / "some" / name).mkdir(parents=True)
        (tmp_path / "some" / name / "0.png").write_bytes((photos / name / "0.png").read_bytes())
    ended = evaluate(longtail, run, "--data", "some")
    assert ended.code == 0, ended.err
    assert "6 of 10 classes have no image here and count nowhere: 4, 5, 6, 7, 8, ..." in ended.out


def test_tables_for_a_person(longtail, run):
    ended = evaluate(longtail, run, "--target-prior", "uniform")
    assert ended.code == 0
    rows = [line.split() for line in ended.out.splitlines()]
    for words in (["as", "trained", "adjusted"], ["macro-F1"], ["forward", "50"], ["uniform"], ["backward", "50"]):
        assert any(row[: len(words)] == words for row in rows)
    assert "erm, best checkpoint (epoch 1), 500 images of digits, in %" in ended.out
    assert "adjusted: logits + log prior of uniform - log prior of train, which they are taken to have learnt" in ended.out


def test_an_unreadable_image_stops_or_is_left_out(longtail, run, tmp_path):
    write_digits(tmp_path / "mine", each=1)
    (tmp_path / "mine" / "5" / "broken.png").write_bytes(b"no picture")
    ended = evaluate(longtail, run, "--data", "mine")
    assert (ended.code, ended.out) == (2, "")
    assert "broken.png (class '5') cannot be read" in ended.err
    assert as_json(longtail, run, "--data", "mine", "--on-bad-image", "skip")["images"] == 10


def test_data_that_have_changed_since_are_noticed(longtail, tmp_path):
    mine = write_digits(tmp_path / "mine", each=5)
    run = train(tmp_path / "run", f"erm --data {mine} --image-size 16 --workers 0")
    ended = evaluate(longtail, run)
    assert (ended.code, "is not as it was" in ended.err) == (0, False)
    assert "10 images" in ended.out
    (mine / "0" / "0.png").unlink()
    assert "mine is not as it was when the run was trained" in evaluate(longtail, run).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data nowhere", "argument --data: unknown data set 'nowhere'"),
        ("--data {other}", "classes that the run does not know: x"),
        ("--target-prior even", "there is no file even"),
        ("--source-prior train", "name a target too"),
        ("--which first", "invalid choice: 'first'"),
    ],
)
def test_mistakes_exit_with_2(longtail, run, tmp_path, words, message):
    (tmp_path / "other" / "x").mkdir(parents=True)
    (tmp_path / "other" / "x" / "1.png").touch()
    ended = evaluate(longtail, run, *words.format(other=tmp_path / "other").split())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert "Traceback" not in ended.err
