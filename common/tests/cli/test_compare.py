"""`longtail compare`, two batches at a time."""

import json
from pathlib import Path

import pytest
import torch

import longtail as package
from longtail.backbones import create_backbone
from longtail.cli import tasks
from longtail.cli.comparison import Comparison, Outcome, train_time
from longtail.cli.contenders import SHORT_NAMES, Contender, read_contenders, split
from longtail.cli.series import run_folder
from longtail.errors import UserError

SMALL = ("--backbone", "resnet20", "--epochs", 1, "--max-steps", 2, "--batch-size", 16)
TINY = (*SMALL, "--device", "cpu", "--progress", "none", "--out", "c")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["erm,bs", "la"], ["erm", "bs", "la"]),
        (["erm, bs ,"], ["erm", "bs"]),
        (["bs:lr=1,momentum=0.5,la"], ["bs:lr=1,momentum=0.5", "la"]),
        (["bs,lr=1"], ["bs:lr=1"]),
    ],
)
def test_contenders_are_split_at_commas_but_keep_their_options(texts, expected):
    assert split(texts) == expected


def test_options_are_read_as_train_reads_them():
    texts = ["bs:schedule=cosine,lr=0.5", "erm", "erm:sampling-power=0.5,order=class_weighted"]
    assert read_contenders(texts, {"lr": 0.1, "epochs": 3, "batch_size": None}) == [
        Contender(texts[0], "erm", {"lr": 0.5, "epochs": 3, "loss": "balanced_softmax", "schedule": "cosine"}),
        Contender("erm", "erm", {"lr": 0.1, "epochs": 3}),
        Contender(texts[2], "erm", {"lr": 0.1, "epochs": 3, "sampling_power": 0.5, "order": "class_weighted"}),
    ]


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_short_names_are_known_options(name):
    (contender,) = read_contenders([name], {})
    assert contender.options == SHORT_NAMES[name][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("magic", "no method or short name 'magic'; there are .*erm.*bs"),
        ("erm:size=3", "'erm:size=3': erm has no option 'size'; it has loss, "),
        ("erm:lr", "'lr' is no option=value"),
        ("erm:lr=0", "argument --lr: must be greater than 0"),
        ("bs:loss=hinge", "argument --loss: invalid choice: 'hinge'"),
        ("erm,bs,erm", "'erm' is named twice"),
        ("bs,erm,erm:loss=balanced_softmax", "'bs' and 'erm:loss=balanced_softmax' are the same: erm with the same options"),
        ("lr=1", "'lr=1' does not say whose option it is"),
        (",", "no method to compare"),
    ],
)
def test_what_is_no_contender_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        read_contenders([text], {})


def outcome(label, accuracies, **failures):
    made = Outcome(label, failures={int(seed[4:]): text for seed, text in failures.items()})
    for seed, accuracy in accuracies.items():
        shares = dict.fromkeys(("accuracy", "many", "medium", "macro_f1", "worst_accuracy", "balanced_accuracy"), accuracy)
        result = {**shares, "few": None, "ece": 0.1, "per_class_accuracy": [accuracy, None], "samples": 60}
        made.add(seed, result, Path(f"runs/{seed}"), 100.0 + seed)
    return made


BASE = outcome("base", {0: 0.50, 1: 0.60, 2: 0.55})


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({0: 0.60, 1: 0.71, 2: 0.64}, "better by 10.0 ± 2.5 points"),
        ({0: 0.40, 1: 0.51, 2: 0.44}, "worse by 10.0 ± 2.5 points"),
        ({0: 0.60, 1: 0.50, 2: 0.58}, "no difference beyond seed noise (+1.0 ± 25.2 points)"),
        ({2: 0.65}, "one seed: no verdict (+10.0 points)"),
        ({0: 0.60, 2: 0.65}, "2 seeds: no verdict (+10.0 points)"),
        ({3: 0.65}, "no verdict: no seed that both it and the baseline finished"),
        ({}, "no verdict: no seed that both it and the baseline finished"),
    ],
)
def test_verdicts(other, verdict):
    comparison = Comparison([BASE, outcome("other", other)], "base", {"data": "x"}, (), Path("c"))
    assert comparison.verdict("other") == verdict
    assert comparison.verdict("base") == "baseline"


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([60, 0], "better by 10.0 ± 2.5 points on these 60 test images, too few to tell for others (± 17.5)"),
        ([6000, 0], "better by 10.0 ± 2.5 points"),
        ([61, 0], "better by 10.0 ± 2.5 points"),
    ],
    ids=["few images", "many images", "not all evaluated"],
)
def test_a_verdict_on_few_test_images_says_so(counts, verdict):
    other = outcome("other", {0: 0.60, 1: 0.71, 2: 0.64})
    pair = [BASE, other]
    if sum(counts) == 6000:
        pair = [
            Outcome(e.label, e.seeds, [{**r, "samples": 6000} for r in e.results], e.folders, e.train_seconds) for e in pair
        ]
    comparison = Comparison(pair, "base", {"data": "x", "test_class_counts": counts}, (), Path("c"))
    assert comparison.verdict("other") == verdict


def test_a_table_that_has_all_earlier_runs_takes_their_place_and_others_keep_them(tmp_path):
    def write(*outcomes):
        return Comparison(outcomes, outcomes[0].label, {"data": "x"}, (), tmp_path).write()

    bs = outcome("bs", {0: 0.5})
    assert write(BASE) == []
    assert write(BASE, bs) == []
    assert write(outcome("base", {0: 0.9}), bs) == [tmp_path / "comparison~1.json", tmp_path / "comparison~1.md"]
    kept = json.loads((tmp_path / "comparison~1.json").read_text())
    assert [method["label"] for method in kept["methods"]] == ["base", "bs"]
    (tmp_path / "comparison.json").write_text("{")
    assert write(BASE) == [tmp_path / "comparison~2.json", tmp_path / "comparison~2.md"]


def test_failures_are_told_in_every_form():
    failing = outcome("frail", {1: 0.6}, seed0="out of\nmemory | disk")
    comparison = Comparison([BASE, failing], "base", {"data": "x"}, ("a note",), Path("c"))
    assert comparison.failed == [failing]
    content = json.loads(json.dumps(comparison.to_dict()))["methods"][1]
    assert content["failures"] == {"0": "out of\nmemory | disk"}
    assert content["difference"]["balanced_accuracy"]["pairs"] == 1
    assert content["difference"]["few"] is None
    text = comparison.markdown()
    assert "- frail, seed 0: out of memory | disk" in text
    assert "- a note" in text


def test_train_times():
    assert train_time(BASE) == "101.0 ± 1.0 s"
    assert train_time(Outcome("none")) == "absent"


def test_folders_tell_contenders_apart():
    labels = ["cmo", "cmo:beta=1", "cmo:start_data_aug=-1", "cmo:start_data_aug=1", "x" * 200 + "1", "x" * 200 + "2"]
    folders = [run_folder(Path("c"), label, 0) for label in labels]
    assert len(set(folders)) == len(labels)
    assert all(len(folder.name) < 130 for folder in folders)


def test_tables_numbers_and_runs_which_are_not_run_again(longtail, tmp_path, monkeypatch):
    words = ("compare", "--methods", "erm,bs", "--seeds", 2, *TINY)
    first = longtail(*words)
    assert (first.code, first.err) == (0, "")
    assert "[4/4] bs, seed 1: " in first.out
    content = json.loads((tmp_path / "c/comparison.json").read_text())
    assert (content["baseline"], content["select"], content["backbone"]) == ("erm", "last", "resnet20")
    for each in content["methods"]:
        assert each["verdict"] in first.out
        assert [run["seed"] for run in each["runs"]] == [0, 1]
        for run in each["runs"]:
            record = json.loads((tmp_path / run["folder"] / "run.json").read_text())
            assert record["results"]["last"] == run["test"]
    assert "| bs | " in (tmp_path / "c/comparison.md").read_text()
    assert "nothing was chosen" in first.out

    monkeypatch.setattr(tasks, "run_job", None)
    again = longtail(*words, "--json")
    assert again.code == 0
    assert json.loads(again.out) == content
    assert again.err.count("finished before") == 4
    called = package.compare(
        "erm,bs", seeds=2, out="c", epochs=1, max_steps=2, batch_size=16, backbone="resnet20", device="cpu", workers=4
    )
    assert called.to_dict() == content
    assert called.difference("bs").pairs == 2


def test_a_failing_method_does_not_lose_the_others(longtail, monkeypatch):
    run_job = tasks.run_job

    def frail(job, *rest, **named):
        if job.options.loss == "focal":
            raise UserError("no focus")
        if job.options.loss == "ldam":
            raise ArithmeticError("a bug")
        return run_job(job, *rest, **named)

    monkeypatch.setattr(tasks, "run_job", frail)
    ended = longtail("compare", "--methods", "focal,ldam,erm", "--seeds", 1, *TINY)
    assert ended.code == 1
    assert "[1/3] focal, seed 0: failed: no focus" in ended.out
    assert "failed with seed 0: no focus" in ended.out
    assert "ArithmeticError: a bug" in ended.out
    assert ended.err.count("Traceback") == 1
    assert "[3/3] erm, seed 0: " in ended.out


def test_where_every_run_fails_there_are_reasons_and_no_empty_tables(longtail, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise UserError("no luck")

    monkeypatch.setattr(tasks, "run_job", fail)
    ended = longtail("compare", "--methods", "erm,bs", "--seeds", 1, *TINY)
    assert ended.code == 1
    assert ended.out.count("failed: no luck") == 2
    assert "no run has come to its end, so that there is nothing to compare" in ended.out
    assert "absent" not in ended.out
    assert len(json.loads((tmp_path / "c/comparison.json").read_text())["methods"]) == 2


def test_ctrl_c_tells_how_to_go_on_and_the_same_command_does(longtail, monkeypatch):
    words = ("compare", "--methods", "erm", "bs", "--seeds", 1, *TINY)
    run_job = tasks.run_job

    def interrupted(job, *rest, **named):
        if job.options.loss == "balanced_softmax":
            raise KeyboardInterrupt
        return run_job(job, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "run_job", interrupted)
        ended = longtail(*words)
    assert ended.code == 130
    assert ended.err.endswith(f"to go on from here:\nlongtail {' '.join(map(str, words))}\n")
    again = longtail(*words, "--jobs", 2)
    assert (again.code, again.err) == (0, "")
    assert "[1/2] erm, seed 0: " in again.out
    assert again.out.count("finished before") == 1
    assert "[2/2] bs, seed 0: " in again.out


def test_a_changed_setting_loses_nothing_and_is_told(longtail, tmp_path):
    words = ("compare", "--methods", "erm", "--seeds", 1, *TINY)
    assert longtail(*words).code == 0
    first = json.loads((tmp_path / "c/comparison.json").read_text())
    again = longtail(*words, "--lr", 0.5, "--json")
    assert again.code == 0
    assert "notice: 1 run in c/runs will be moved to NAME~1 or so, and trained anew: lr was 0.1 and is 0.5" in again.err
    assert "notice: an earlier comparison was moved to c/comparison~1.json" in again.err
    assert json.loads(again.out)["methods"][0]["runs"][0]["test"] != first["methods"][0]["runs"][0]["test"]
    assert json.loads((tmp_path / "c/comparison~1.json").read_text()) == first
    assert json.loads((tmp_path / "c/runs/erm-seed0~1/run.json").read_text())["identity"]["lr"] == 0.1


def test_fewer_epochs_than_a_run_has_had_are_trained_anew(longtail):
    def results(*more):
        ended = longtail("compare", "--methods", "erm", "--seeds", 1, *TINY, "--epochs", 3, "--json", *more)
        return json.loads(ended.out)["methods"][0]["runs"][0]["test"], ended.err

    first, _ = results("--max-epochs", 1)
    longer, told = results("--max-epochs", 2)
    assert (first["epoch"], longer["epoch"]) == (0, 1)
    assert "anew" not in told
    again, told = results("--max-epochs", 1)
    assert again == first
    assert "trained anew: it was trained beyond epoch 1" in told


def test_other_data_in_the_same_folder_are_refused(longtail, tmp_path):
    record = tmp_path / "c/runs/erm-seed0/run.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"identity": {"data": "/elsewhere/digits"}}))
    ended = longtail("compare", "--methods", "bs", *TINY)
    assert ended.code == 2
    assert ended.err == "longtail: error: c holds runs on other data: /elsewhere/digits\nGive another folder with --out.\n"


def test_every_network_begins_with_the_given_weights(longtail, tmp_path):
    torch.save(create_backbone("resnet20", num_classes=3, seed=7).state_dict(), tmp_path / "mine.pth")
    words = ("compare", "--methods", "erm,rw", "--seeds", 1, *TINY, "--lr", 1e-9)
    ended = longtail(*words, "--pretrained", "mine.pth")
    assert ended.code == 0, ended.err
    whole = str(tmp_path / "mine.pth")
    assert "Every network began with the weights in mine.pth." in ended.out
    content = json.loads((tmp_path / "c/comparison.json").read_text())
    assert content["pretrained"] == whole
    begun = torch.load(tmp_path / "mine.pth", weights_only=True)["conv1.weight"]
    for name in ("erm", "rw"):
        folder = tmp_path / f"c/runs/{name}-seed0"
        assert json.loads((folder / "run.json").read_text())["identity"]["pretrained"] == whole
        trained = torch.load(folder / "ckpt.pth.tar", weights_only=True)["state_dict"]["conv1.weight"]
        torch.testing.assert_close(trained, begun, rtol=0, atol=1e-6)
    again = longtail(*words)
    assert f"notice: 2 runs in c/runs will be moved to NAME~1 or so, and trained anew: pretrained was {whole!r}" in again.out


def test_bad_weights_are_told_once_and_first(longtail, tmp_path):
    torch.save({"stem.weight": torch.ones(2)}, tmp_path / "other.pth")
    for name, message in (("other.pth", "a checkpoint of another model"), ("none.pth", "none.pth")):
        ended = longtail("compare", "--methods", "erm,bs", *TINY, "--pretrained", name)
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.err
        assert not (tmp_path / "c/runs").exists()


def test_tables_are_shown_even_where_they_cannot_be_written(longtail, monkeypatch):
    def full(_):
        raise UserError("cannot write c/comparison.json: No space left on device")

    monkeypatch.setattr(Comparison, "write", full)
    ended = longtail("compare", "--methods", "erm", "--seeds", 1, *TINY)
    assert ended.code == 2
    assert "No space left" in ended.err
    assert "Test accuracy in %" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: --methods"),
        ("--methods erm --baseline bs", "the baseline 'bs' is none of the methods: erm"),
        ("--methods erm --backbone resnet33", "unknown backbone 'resnet33'; choose one of"),
        ("--methods erm --thresholds 20 100", "few <= many"),
        ("--methods erm --profile steep", "steep"),
        ("--methods erm --data svhn", "argument --data: unknown data set 'svhn'"),
        ("--methods erm --seeds 0", "argument --seeds: must be at least 1"),
    ],
)
def test_mistakes_exit_with_2_and_a_line_or_two(words, message, longtail):
    ended = longtail("compare", *words.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("longtail: error: ")
    assert message in ended.err
    assert ended.err.count("\n") <= 2


def test_the_function_knows_no_other_options():
    with pytest.raises(TypeError, match="no option 'colour'"):
        package.compare("erm", colour="red")
    with pytest.raises(ValueError, match="seeds and jobs"):
        package.compare("erm", seeds=0)
