"""`longtail report` with runs on the digits."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import train, write_digits

from longtail.report.html.compared import HEADINGS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "digits", "erm")


def report(longtail, *words):
    return longtail("report", *words, "--device", "cpu")


def test_its_own_test_images_are_shown(longtail, run, tmp_path):
    ended = report(longtail, run, "--out", tmp_path / "new" / "page.html")
    assert (ended.code, ended.err) == (0, "")
    text = (tmp_path / "new" / "page.html").read_text()
    assert ended.out == f"report of 1 run: {tmp_path / 'new' / 'page.html'} ({len(text.encode()) / 1000:.0f} kB)\n"
    best = json.loads((run / "run.json").read_text())["results"]["best"]
    assert f"{100 * best['balanced_accuracy']:.1f}" in text
    assert f"Calibration error {100 * best['ece']:.1f} %. 500 images of digits, network of epoch 1." in text
    assert text.count("<img src=") >= 4
    assert text.count('<svg viewBox="') == 5
    assert ": absent" not in text


def test_other_images_in_files_can_be_shown(longtail, run, tmp_path):
    photos = write_digits(tmp_path / "photos", each=3)
    (photos / "0" / "0.png").write_bytes(b"")
    ended = report(longtail, run, "--data", photos, "--no-images", "--json", "--batch-size", 7)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert (told["report"], told["runs"], told["without_predictions"]) == ("report.html", [str(run)], {})
    text = (tmp_path / "report.html").read_text()
    assert told["bytes"] == len(text.encode())
    assert "29 images of photos, network of epoch 1; 1 image cannot be read." in text
    assert "<img" not in text


def test_training_images_are_not_read(longtail, tmp_path):
    for part in ("train", "test"):
        write_digits(tmp_path / "photos" / part)
    run = train(tmp_path / "run", f"erm --data {tmp_path / 'photos'} --image-size 32 --workers 0 --select last --max-steps 1")
    for file in (tmp_path / "photos" / "train").rglob("*.png"):
        file.write_bytes(b"")
    (tmp_path / "photos" / "test" / "3" / "1.png").write_bytes(b"")
    ended = report(longtail, run)
    assert ended.code == 0, ended.err
    assert "reading" not in ended.err
    assert "19 images of photos, network of epoch 1; 1 image cannot be read." in (tmp_path / "report.html").read_text()


def test_without_a_checkpoint_the_reason_stands_in_the_page(longtail, run, tmp_path):
    bare = tmp_path / "all" / "bare"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("*.tar"))
    ended = report(longtail, tmp_path / "all", "--json")
    reason = json.loads(ended.out)["without_predictions"][str(bare)]
    assert reason.startswith(f"{bare} has no checkpoint ckpt.best.pth.tar")
    assert ended.err == f"notice: bare: no calibration, confusions and examples: {reason}\n"
    text = (tmp_path / "report.html").read_text()
    assert f"Reliability diagram: absent ({reason})." in text
    assert '<th scope="col" class="number">accuracy (%)</th>' in text


def test_runs_of_a_comparison_stand_in_its_order(longtail, run, tmp_path):
    for name in ("bs-seed0", "erm-seed0"):
        shutil.copytree(run, tmp_path / "both" / "runs" / name)
    scores = dict.fromkeys(HEADINGS.values(), 0.5)
    methods = [
        {
            "label": name,
            "mean": scores,
            "sample_standard_deviation": dict.fromkeys(scores),
            "runs": [{"folder": f"moved/since/runs/{name}-seed0", "train_seconds": 1.0}],
            "failures": {},
            "verdict": "one seed: no verdict (+0.0 points)" if name == "bs" else "baseline",
            "difference": None,
        }
        for name in ("erm", "bs")
    ]
    told = {"data": "digits", "baseline": "erm", "notes": [], "methods": methods}
    (tmp_path / "both" / "comparison.json").write_text(json.dumps(told))
    ended = report(longtail, tmp_path / "both", "--json", "--no-images")
    assert [Path(each).name for each in json.loads(ended.out)["runs"]] == ["erm-seed0", "bs-seed0"]
    assert "one seed: no verdict (+0.0 points)" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: RUN"),
        ("nowhere", "nowhere is not the folder of a run"),
        ("nowhere --out page.pdf", "--out: must end in .html, got 'page.pdf'"),
        ("nowhere --data missing", "argument --data: unknown data set 'missing'"),
    ],
)
def test_mistakes(longtail, words, message):
    ended = report(longtail, *words.split())
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_without_jinja2_the_extra_is_named(longtail, run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    ended = report(longtail, run)
    assert ended.code == 2
    assert "pip install 'longtail-common[report]'" in ended.err
