"""The study runner: names of combinations, the commands that they stand for, stopping and going on, and the table."""

import json
import os
import re
import shlex
import signal
import statistics
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import UserError
from longtail.testing import Killed, killed_at, quick_help
from longtail_rsg_study import study, training
from longtail_rsg_study.attended import attend
from longtail_rsg_study.combinations import GRID, Combination
from longtail_rsg_study.flags import SUFFIXES, create_train_parser, run_name
from longtail_rsg_study.method import RSGStudyOptions, check
from longtail_rsg_study.outcomes import Outcome, Reached, Row
from longtail_rsg_study.recipe import RSGStudy

SMALL = "--data_dir data/mini-ImageNet --cls_num 5 --arch resnet20 --batch-size 8"
HOW = "--device cpu --workers 0 --max-epochs 1 --max-steps 2"
LONGER = HOW.replace("--max-epochs 1", "--max-epochs 2")
PREFIX = "ImageNet_LT_mini-ImageNet_resnet20_"

quick = settings(derandomize=True, deadline=None, max_examples=40)


# names of combinations


@quick
@given(st.permutations(list(SUFFIXES.values())), st.integers(1, 9), st.sampled_from(["", ":icf", ":cbl", ":none"]))
def test_words_in_any_order(words, number, weights):
    chosen = words[:number]
    combination = Combination.parse("+".join(word + weights * (word == "ldam") for word in chosen))
    assert {SUFFIXES[flag] for flag in SUFFIXES if combination.flags[flag]} == set(chosen)
    assert combination == Combination.parse(str(combination))
    assert str(combination).replace(weights or ":icf", "").split("+") == [word for word in SUFFIXES.values() if word in chosen]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rsg+cee", "'cee' in 'rsg\\+cee' is no word of a combination; they are, .*\nnormout, rsg, ce, ldam, .*ldam:none"),
        ("", "'' in '' is no word"),
        ("ce:cbl", "'ce:cbl' in 'ce:cbl' is no word"),
        ("ldam:cb", "'ldam:cb' in 'ldam:cb' is no word"),
        ("ldam:", "'ldam:' in 'ldam:' is no word"),
        ("ldam+rsg+ldam:cbl", "names ldam twice"),
        ("ce+ce", "combination 'ce\\+ce' names ce twice"),
    ],
)
def test_what_is_no_combination(text, message):
    with pytest.raises(UserError, match=message):
        Combination.parse(text)


def test_the_grid_can_be_trained():
    assert len(set(GRID)) == len(GRID)
    assert {word.partition(":")[0] for name in GRID for word in name.split("+")} == set(SUFFIXES.values())
    for name in GRID:
        assert str(Combination.parse(name)) == name
        check(RSGStudyOptions(**Combination.parse(name).flags))


# commands


def commands(text=""):
    """The commands of a study, as parsed by the training script."""
    runs = study.plan(study.Request.parse(shlex.split(text)))
    assert [run.in_words().split()[:2] for run in runs] == [["python", "imagenet_lt_train.py"]] * len(runs)
    return [create_train_parser().parse_args(shlex.split(run.in_words())[2:]) for run in runs]


def test_commands_say_every_switch():
    (run,) = study.plan(study.Request.parse(["supcon+ce"]))
    switches = " ".join(f"--{flag} {word in ('ce', 'supcon')}" for flag, word in SUFFIXES.items())
    assert run.in_words() == f"python imagenet_lt_train.py {switches} --seed 0 --run_suffix seed0 --resume-auto"


def test_commands_of_the_grid_have_folders_of_their_own():
    runs = commands("--seeds 3 --seed 7")
    assert len({run_name(run) for run in runs}) == len(runs) == 3 * len(GRID)
    assert [run.seed for run in runs] == [seed for seed in (7, 8, 9) for _ in GRID]
    weights = {(run.ldam_weight_type, run.cbl_beta) for run in runs if run.add_ldam_loss}
    assert weights == {("icf", 0.999), ("cbl", 0.999), ("cbl", 0.0)}


def test_a_combination_told_twice_runs_once():
    assert len(commands("ldam+normout normout+ldam:icf ldam+normout")) == 1


def test_flags_of_the_training_script_are_passed_on():
    passed = (
        "-a resnet18 --data-dir 'my data' --lr 3e-05 -b 8 -j 0 --gpu 1,0 --cbl_beta 0.99 --epoch_thresh -1 "
        "--no-arc_easy_margin --pretrained --no-channels-last --compile --precision bf16 --max-steps 2 --select last "
        "--clip-norm 0.5 --root_log=-x"
    )
    theirs = create_train_parser().parse_args(shlex.split(passed))
    theirs.input_size = 224
    mine = commands(f"ce --seeds 1 {passed} normout+ldam:none rsg+ldam:cbl --run_suffix why")
    betas, suffixes = (0.99, 0.0, 0.99), ("why_seed0", "why_none_seed0", "why_cbl_seed0")
    changed = {*SUFFIXES, "ldam_weight_type", "cbl_beta", "seed", "run_suffix", "resume_auto", "input_size"}
    for run, beta, suffix in zip(mine, betas, suffixes, strict=True):
        assert {name for name, value in vars(run).items() if value != vars(theirs)[name]} <= changed
        assert (run.seed, run.cbl_beta, run.run_suffix, run.resume_auto) == (0, beta, suffix, True)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ce rsg", "combination 'rsg': no loss is on"),
        ("ce supcon+arcmar", "combination 'supcon\\+arcmar': --add_arc_margin_loss: a margin head gives logits"),
        ("ce hocus", "'hocus' in 'hocus' is no word of a combination"),
        ("ce --no-add_rsg", "--add_rsg is what combinations say"),
        ("ce --ldam-weight-type icf", "--ldam_weight_type is what combinations say"),
        ("ce --no-resume-auto", "a study always goes on where it stopped"),
        ("ce --input_size 224", "--arch resnet20 is a network for images of 32 pixels"),
        ("ce --run_suffix a/b", "cannot be a path"),
        ("ce --seeds 0", "argument --seeds: must be at least 1, got 0"),
        ("ce --epochs x", "argument --epochs: invalid integer value: 'x'"),
        ("ce --hocus", "unrecognized arguments: --hocus"),
    ],
)
def test_mistakes_come_before_anything_runs(command, message, mini, run, monkeypatch):
    monkeypatch.setattr(study, "attend", unexpected)
    done = run(f"python study.py {command} {SMALL}", HOW)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not (mini / "log").exists()


def unexpected(*_arguments):
    raise AssertionError("nothing was to run")


def test_a_study_needs_the_training_script(mini, run, monkeypatch):
    monkeypatch.setattr(study, "attend", unexpected)
    (mini / "imagenet_lt_train.py").unlink()
    done = run(f"python study.py ce {SMALL}", HOW)
    assert done.returncode == 2
    assert "a study runs imagenet_lt_train.py, and there is none beside study.py" in done.stderr


def test_dry_run(mini, run, monkeypatch):
    monkeypatch.setattr(study, "attend", unexpected)
    done = run(f"python study.py ce rsg+ce --seeds 2 --dry-run {SMALL}", HOW)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["python", "imagenet_lt_train.py"]] * 4
    assert not (mini / "log").exists()


def test_help_is_quick():
    told = quick_help(Path(__file__).parents[1], "study.py")
    assert "normout+ldam:cbl" in told
    assert "--max-steps" in told
    assert "--add_rsg" not in told


# runs


@pytest.fixture
def trainings(monkeypatch):
    """Runs of a study happen in this process; the list of their names grows."""
    names = []

    def here(command, environment):
        assert Path(command[1]).name == "imagenet_lt_train.py"
        assert "LONGTAIL_ADDOPTS" not in environment
        names.append(run_name(create_train_parser().parse_args(command[2:])))
        try:
            with redirect_stdout(StringIO()):
                return training.main(command[2:]) or 0
        except UserError:
            return 2

    monkeypatch.setattr(study, "attend", here)
    return names


def result(folder, epoch, score):
    return json.loads((folder / "run.json").read_text())["results"][epoch][score]


def rows_of(text):
    """The tables of a report, the first row being the headings: their cells."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    size = len(rows) // 2
    return rows[:size], rows[size:]


def test_two_combinations_with_two_seeds(mini, run, trainings):
    done = run(f"python study.py ce normout+rsg+ldam:cbl --seeds 2 {SMALL}", HOW)
    assert done.returncode == 0, done.stderr
    names = ["ce_seed0", "normout_rsg_ldam_cbl_seed0", "ce_seed1", "normout_rsg_ldam_cbl_seed1"]
    assert trainings == [f"{PREFIX}{name}" for name in names]
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == [
        "[1/4] ce, seed 0",
        "[2/4] normout+rsg+ldam:cbl, seed 0",
        "[3/4] ce, seed 1",
        "[4/4] normout+rsg+ldam:cbl, seed 1",
    ]
    assert "; 1 run left, about " in done.stdout

    text = (mini / "log" / "study_mini-ImageNet_resnet20.md").read_text()
    assert text in done.stdout
    assert text.startswith("# mini-ImageNet, resnet20, 1 epoch\n\nTest accuracy in %, mean ± sample standard deviation over 2")
    for table, epoch in zip(rows_of(text), ("best", "last"), strict=True):
        assert table[0] == ["combination", "all", "many", "median", "low"]
        assert [row[0] for row in table[1:]] == ["ce", "normout+rsg+ldam:cbl *"]
        assert {row[2] for row in table[1:]} == {"absent"}
        for row, name in zip(table[1:], ("ce", "normout_rsg_ldam_cbl"), strict=True):
            folders = [mini / "log" / f"{PREFIX}{name}_seed{seed}" for seed in (0, 1)]
            for cell, score in ((row[1], "accuracy"), (row[4], "few")):
                values = [100 * result(folder, epoch, score) for folder in folders]
                assert cell == f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
    assert "- the best epoch is chosen on the validation images;" in text
    assert "- `*`: RSG generated nothing; it begins after epoch 160" in text
    assert "a rehearsal: at most 2 batches" in text
    assert "nan" not in text

    numbers = json.loads((mini / "log" / "study_mini-ImageNet_resnet20.json").read_text())
    assert [each["combination"] for each in numbers["combinations"]] == ["ce", "normout+rsg+ldam:cbl"]
    assert [each["rsg_generated_nothing"] for each in numbers["combinations"]] == [False, True]
    assert numbers["combinations"][0]["mean"]["best"]["many"] is None
    assert [each["seed"] for each in numbers["combinations"][1]["runs"]] == [0, 1]


@pytest.mark.usefixtures("mini")
def test_what_is_finished_does_not_run_again(run, trainings, monkeypatch):
    command = f"python study.py ce {SMALL}"
    first = run(command, HOW)
    assert first.returncode == 0, first.stderr
    more = run(f"{command} --seeds 2 --root_log ./log", HOW)
    assert more.returncode == 0, more.stderr
    assert trainings == [f"{PREFIX}ce_seed0", f"{PREFIX}ce_seed1"]
    assert "[1/2] ce, seed 0: finished before\n" in more.stdout
    monkeypatch.setattr(study, "attend", unexpected)
    again = run(command, HOW)
    assert again.returncode == 0, again.stderr
    assert again.stdout.partition("\n\n")[2] == first.stdout.partition("\n\n")[2]


def test_generating_rows_are_not_marked_and_longer_studies_go_on(mini, run, trainings):
    command = f"python study.py rsg+ldam --epoch_thresh -1 --head_tail_ratio 0.4 --select last {SMALL}"
    assert run(command, HOW).returncode == 0
    done = run(command, LONGER)
    assert done.returncode == 0, done.stderr
    lines = (mini / "log" / trainings[0] / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]
    assert sum(line.startswith("| rsg+ldam ") for line in done.stdout.splitlines()) == 1
    assert "*" not in done.stdout
    assert "no epoch is chosen" in done.stdout
    assert len(list((mini / "log").glob(f"{PREFIX}*"))) == 1

    shorter = run(command, HOW)
    assert shorter.returncode == 2
    assert "holds a run of 2 epochs, more than the 1 asked for; --run_suffix TEXT" in shorter.stderr


def test_killed_and_given_again(mini, run, trainings):
    command = f"python study.py ce rsg+ce {SMALL}"
    assert run(command, f"{LONGER} --run_suffix whole").returncode == 0
    with killed_at(RSGStudy, 1, 0), pytest.raises(Killed):
        run(command, LONGER)
    done = run(command, LONGER)
    assert done.returncode == 0, done.stderr
    names = [f"{PREFIX}{name}_seed0" for name in ("ce", "ce", "rsg_ce")]
    assert trainings[2:] == names
    record = json.loads((mini / "log" / names[0] / "run.json").read_text())
    assert record["resumed_from"] is not None
    whole = json.loads((mini / "log" / f"{PREFIX}ce_whole_seed0" / "run.json").read_text())
    assert record["results"] == whole["results"]


@pytest.mark.usefixtures("mini")
def test_ctrl_c_tells_how_to_go_on(run, monkeypatch):
    def stopped(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "attend", stopped)
    done = run(f"python study.py ce {SMALL}", HOW)
    assert done.returncode == 130
    assert done.stderr.endswith("give the same command again to go on from here\n")


@pytest.mark.usefixtures("mini")
@pytest.mark.parametrize(("code", "told"), [(2, 2), (1, 1), (-9, 137)])
def test_a_run_that_fails_stops_the_study(code, told, run, monkeypatch):
    calls = []

    def fails(command, environment):  # noqa: ARG001 - the signature of `attend`
        calls.append(command)
        return code

    monkeypatch.setattr(study, "attend", fails)
    done = run(f"python study.py ce rsg+ce {SMALL}", HOW)
    assert done.returncode == told
    assert len(calls) == 1
    assert done.stderr == "ce, seed 0: failed as told above; given again, the same command goes on from here\n"


@pytest.mark.usefixtures("mini")
def test_another_run_in_its_place(run, trainings):
    command = f"python study.py ce {SMALL}"
    assert run(command, HOW).returncode == 0
    done = run(f"{command} --lr 0.5", HOW)
    assert done.returncode == 2
    assert f"log/{PREFIX}ce_seed0 holds a run with other options (lr was 0.001 and is 0.5)" in done.stderr
    assert "; --run_suffix TEXT gives a study names of its own" in done.stderr
    assert trainings == [f"{PREFIX}ce_seed0"]


@pytest.mark.usefixtures("mini", "trainings")
def test_a_run_without_results(run):
    done = run(f"python study.py ce --start-epoch 2 {SMALL}", HOW)
    assert done.returncode == 2
    assert "ce, seed 0: ended without results" in done.stderr


def test_in_a_terminal(mini, in_terminal):
    done = in_terminal(f"python study.py ce {SMALL}", HOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1/1] ce, seed 0\n    test accuracy ")
    assert "no runs left\n\n# mini-ImageNet, resnet20, 1 epoch\n\nTest accuracy in %, one seed.\n" in done.stdout
    assert "Epoch: [0]" not in done.stdout
    record = json.loads((mini / "log" / f"{PREFIX}ce_seed0" / "run.json").read_text())
    assert record["command"].startswith("imagenet_lt_train.py --arch resnet20")


# stopping


@pytest.fixture
def heeded():
    """No signal is ignored, as some are where a shell has started the tests in the background."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("asked", "heard"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGHUP, signal.SIGTERM)],
)
def test_whoever_stops_a_study_stops_its_run(asked, heard, tmp_path):
    code = (
        "import os, pathlib, signal, sys\n"
        "stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, stops)\n"
        f"os.kill(os.getppid(), {int(asked)})\n"
        "pathlib.Path(sys.argv[1]).write_text(str(int(signal.sigwait(stops))))\n"
    )
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(KeyboardInterrupt):
        attend([sys.executable, "-c", code, str(tmp_path / "heard")], os.environ)
    assert (tmp_path / "heard").read_text() == str(int(heard))
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = f"import os; os.kill(os.getppid(), {int(signal.SIGHUP)}); raise SystemExit(3)"
        assert attend([sys.executable, "-c", code], os.environ) == 3
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_killed_command():
    assert attend([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], os.environ) == -9


# the table


def reached(seed, best, last=(0.5, None, 0.25, 0.0), *, images="a", idle=False):
    scores = ("accuracy", "many", "medium", "few")
    results = {"best": dict(zip(scores, best, strict=True)), "last": dict(zip(scores, last, strict=True))}
    return Reached(seed, Path("log/x"), "x", images, results, idle)


def test_the_table_as_text():
    rows = [
        Row("ce", [reached(0, (0.5, None, 0.25, 0.0)), reached(1, (0.25, None, 0.75, 0.0))]),
        Row("rsg+ldam", [reached(0, (1.0, None, 1.0, 0.125), idle=True), reached(1, (1.0, None, 1.0, 0.125), images="b")]),
    ]
    how = Namespace(
        data_dir="data/CIFAR10/",
        arch="resnet32",
        epochs=20,
        max_epochs=None,
        max_steps=None,
        select="test",
        epoch_thresh=7,
        focal_gamma=0,
    )
    assert str(Outcome(how, rows, 6)) == (
        "# CIFAR10, resnet32, 20 epochs\n\n"
        "Test accuracy in %, mean ± sample standard deviation over 2 seeds.\n\n"
        "After the best epoch:\n\n"
        "| combination |           all |   many |        median |          low |\n"
        "| ----------- | ------------: | -----: | ------------: | -----------: |\n"
        "| ce          | 37.50 ± 17.68 | absent | 50.00 ± 35.36 |  0.00 ± 0.00 |\n"
        "| rsg+ldam *  | 100.00 ± 0.00 | absent | 100.00 ± 0.00 | 12.50 ± 0.00 |\n\n"
        "After the last epoch:\n\n"
        "| combination |          all |   many |       median |         low |\n"
        "| ----------- | -----------: | -----: | -----------: | ----------: |\n"
        "| ce          | 50.00 ± 0.00 | absent | 25.00 ± 0.00 | 0.00 ± 0.00 |\n"
        "| rsg+ldam *  | 50.00 ± 0.00 | absent | 25.00 ± 0.00 | 0.00 ± 0.00 |\n\n"
        "- the best epoch is chosen on the test images themselves, which makes its accuracies too high\n"
        "- only 4 of 6 runs are done\n"
        "- the runs had different images: the data set changed between them\n"
        "- `*`: RSG generated nothing; it begins after epoch 7, from 0 (`--epoch_thresh`)\n"
        "- `ldam`: classes weighted by inverse frequency; `ldam:cbl`: class-balanced; `ldam:none`: unweighted"
    )


def test_focal_without_gamma_is_told():
    how = Namespace(
        data_dir="x", arch="y", epochs=1, max_epochs=None, max_steps=None, select="val", epoch_thresh=160, focal_gamma=0.0
    )
    (_, note) = Outcome(how, [Row("focal", [reached(0, (0.5, 0.5, 0.5, 0.5))])], 1).notes()
    assert note == "`focal`: with gamma 0, as in the study, it is cross entropy (`--focal_gamma`)"
    how.focal_gamma = 2.0
    assert len(Outcome(how, [Row("focal", [reached(0, (0.5, 0.5, 0.5, 0.5))])], 1).notes()) == 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7384, "2 h 3 min")]
)
def test_durations(seconds, words):
    assert study.in_words(seconds) == words
