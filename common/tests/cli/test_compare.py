"""`longtail compare`, two batches at a time."""

import json
import pickle
from pathlib import Path

import pytest

import longtail as package
from longtail.cli import one_run, series
from longtail.cli.comparison import Comparison, Outcome, train_time
from longtail.cli.contenders import SHORT_NAMES, Contender, read_contenders, split
from longtail.cli.series import Ended, Reached, Task, in_words, run_folder
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
        result = {**shares, "few": None, "ece": 0.1, "per_class_accuracy": [accuracy, None]}
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


def test_durations():
    assert train_time(BASE) == "101.0 ± 1.0 s"
    assert train_time(Outcome("none")) == "absent"
    assert [in_words(seconds) for seconds in (5, 600, 7260)] == ["5 s", "10 min", "2 h 1 min"]


def test_the_time_left_goes_by_the_runs_so_far():
    tasks = [Task(label, None, Path()) for label in ("slow", "quick", "slow", "quick", "new")]
    estimate = series._Estimate(tasks, jobs=1)
    assert estimate.left() == ""
    for task, seconds in zip(tasks, (40.0, 20.0), strict=False):
        estimate.note(Ended(task, Reached({}, seconds, seconds)))
    assert estimate.left() == ", about 2 min left"


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
    assert " left\n" in first.out
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

    monkeypatch.setattr(series, "run_job", None)
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
    run_job = series.run_job

    def frail(job, *rest, **named):
        if job.options.loss == "focal":
            raise UserError("no focus")
        if job.options.loss == "ldam":
            raise ArithmeticError("a bug")
        return run_job(job, *rest, **named)

    monkeypatch.setattr(series, "run_job", frail)
    ended = longtail("compare", "--methods", "focal,ldam,erm", "--seeds", 1, *TINY)
    assert ended.code == 1
    assert "[1/3] focal, seed 0: failed: no focus" in ended.out
    assert "failed with seed 0: no focus" in ended.out
    assert "ArithmeticError: a bug" in ended.out
    assert ended.err.count("Traceback") == 1
    assert "[3/3] erm, seed 0: " in ended.out


def test_ctrl_c_tells_how_to_go_on_and_the_same_command_does(longtail, monkeypatch):
    words = ("compare", "--methods", "erm", "bs", "--seeds", 1, *TINY)
    run_job = series.run_job

    def interrupted(job, *rest, **named):
        if job.options.loss == "balanced_softmax":
            raise KeyboardInterrupt
        return run_job(job, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(series, "run_job", interrupted)
        ended = longtail(*words)
    assert ended.code == 130
    assert ended.err.endswith(f"to go on from here:\nlongtail {' '.join(map(str, words))}\n")
    again = longtail(*words, "--jobs", 2)
    assert (again.code, again.err) == (0, "")
    assert "[1/2] erm, seed 0: " in again.out
    assert again.out.count("finished before") == 1
    assert "[2/2] bs, seed 0: " in again.out


def test_a_process_of_its_own_answers_for_mistakes_and_bugs(monkeypatch, tmp_path):
    class Source:
        def load(self, root, runtime):
            return None

    for error, is_mistake, text in ((UserError("mend it"), True, "mend it"), (KeyError("x"), False, "KeyError: 'x'")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(series, "carry_out", fail)
        monkeypatch.setattr(
            pickle, "loads", lambda _: Task("x", type("J", (), {"source": Source(), "runtime": None}), tmp_path)
        )
        assert one_run.answer(b"") == {"error": text, "is_mistake": is_mistake}
        said = json.dumps({"error": text, "is_mistake": is_mistake}).encode()
        ended = series._ended(None, said, 0, Path("a.log"))
        assert isinstance(ended.error, UserError if is_mistake else series.RunFailed)
        assert text in str(ended.error)
    killed = series._ended(None, b"", -9, Path("a.log"))
    assert "ended with code -9 and no word; see a.log" in str(killed.error)


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
