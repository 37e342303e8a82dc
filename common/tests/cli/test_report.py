"""`longtail report` with runs on the digits."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from tiny_runs import TINY, train, write_digits

from longtail.cli import evaluate
from longtail.cli.main import dispatch


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


def test_runs_of_the_same_data_share_them(longtail, run, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(evaluate, "load_source", lambda source, *rest: loaded.append(source) or source.load(*rest))
    again = shutil.copytree(run, tmp_path / "again")
    ended = report(longtail, run, again)
    assert ended.code == 0, ended.err
    assert [each.data for each in loaded] == ["digits"]


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


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """The folder of a comparison of two methods, with two seeds each."""
    folder = tmp_path_factory.mktemp("comparison") / "both"
    tiny = [*TINY.split(), "--max-steps", "1", "--seeds", "2", "--select", "last"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr("sys.argv", ["longtail", "compare"])
        patch.setattr("sys.stdout", io.StringIO())
        dispatch(["compare", "--methods", "erm,bs", "--data", "digits", *tiny, "--out", str(folder)])
    return folder


def rows_of_markdown(text):
    """The rows of its tables, each as cells by heading; a row of a method has its name at ""."""
    parts = [re.findall(r"^\| *(.*) \|$", part, re.MULTILINE) for part in text.split("\n\n")]
    cells = [[row.split("| ") for row in part] for part in parts if part]
    return [{head.strip(): cell.strip() for head, cell in zip(part[0], row, strict=True)} for part in cells for row in part[2:]]


def rows_of_page(text):
    """The same of a page."""
    bare = re.sub(r"</?bdi>", "", text).replace("\N{MINUS SIGN}", "-")
    parts = [re.findall("<tr.*?</tr>", part, re.DOTALL) for part in re.findall("<table.*?</table>", bare, re.DOTALL)]
    cells = [[re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in part] for part in parts]
    return [dict(zip(part[0], row, strict=False)) for part in cells for row in part[1:]]


def test_a_comparison_is_told_as_compare_tells_it(longtail, comparison, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(comparison, moved)
    ended = report(longtail, moved, "--json", "--no-images")
    assert ended.code == 0, ended.err
    names = ["erm-seed0", "erm-seed1", "bs-seed0", "bs-seed1"]
    assert [Path(each).name for each in json.loads(ended.out)["runs"]] == names
    text = (tmp_path / "report.html").read_text()
    erm, bs, difference = rows_of_markdown((moved / "comparison.md").read_text())
    verdict = difference.pop("verdict")
    erm, bs, difference = ({"method": row.pop("")} | row for row in (erm, bs, difference))
    found = rows_of_page(text)
    assert {**erm, "seeds": "2"} in found
    assert {**bs, "seeds": "2"} in found
    assert difference in found
    assert {"method": "bs", "verdict": verdict} in found
    assert "<h3>bs, seed 1: reliability</h3>" in text
    assert text.count("single seeds") == 2


def test_the_table_of_classes_agrees_with_what_compare_computed(longtail, comparison, tmp_path):
    report(longtail, comparison, "--no-images")
    text = (tmp_path / "report.html").read_text()
    rows = re.search('aria-label="Table of classes".*?</table>', text, re.DOTALL)[0].split("<tr>")[2:]
    bs = json.loads((comparison / "comparison.json").read_text())["methods"][1]
    pairs = zip(bs["mean"]["per_class_accuracy"], bs["sample_standard_deviation"]["per_class_accuracy"], strict=True)
    expected = ["absent" if mean is None else f"{100 * mean:.1f} ± {100 * spread:.1f}" for mean, spread in pairs]
    assert [re.findall("<td[^>]*>(.*?)</td>", row)[-1] for row in rows] == expected


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
