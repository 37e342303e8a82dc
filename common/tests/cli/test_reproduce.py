"""`longtail reproduce`: what was published, with its commands, and what these give here."""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from longtail import notes
from longtail.cli.reproduction import Reproduction, Row
from longtail.training import published
from longtail.training.published import TEST, Command, Published, Reruns, flags_of_each
from longtail.training.runtime import PaperParser, add_runtime_options


def _parser(*flags):
    def create():
        parser = PaperParser()
        parser.add_argument("--epochs", type=int, default=200)
        parser.add_argument("--root", default="data")
        for each in flags:
            parser.add_argument(each, action="store_true")
        add_runtime_options(parser)
        return parser

    return create


def _command(line="python script.py --epochs 30", *flags):
    return Command(line, lambda: None, _parser(*flags), frozenset({"root"}))


RESULT = Published(
    "small",
    "all of it, 30 epochs",
    "some data",
    "a README",
    {"accuracy": 46.6},
    TEST,
    (_command(),),
    (Reruns("a user", (45.0, 47.0)),),
)
OTHER = Published("closed", "all of it", "some data", "a README", {"accuracy": 50.0}, obstacle="nobody tells how")


@pytest.fixture
def offered(monkeypatch):
    """Two results of one method, in place of those that are installed."""
    monkeypatch.setattr(published, "entry_points", lambda **_: [_Entry("toy", (RESULT, OTHER))])


@dataclass
class _Entry:
    """What `offered` needs of an entry point."""

    name: str
    offers: tuple[Published, ...] | Exception

    def load(self):
        if isinstance(self.offers, Exception):
            raise self.offers
        return self.offers


@pytest.mark.usefixtures("offered")
def test_list(longtail):
    ended = longtail("reproduce")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "toy/small",
        "  all of it, 30 epochs; some data",
        "  published: all 46.6 %; epoch: the best epoch on the test set",
        "  run again by a user: 45.00, 47.00 %",
        "  source: a README",
        "  $ python script.py --epochs 30",
        "",
        "toy/closed",
        "  all of it; some data",
        "  published: all 50.0 %; epoch: unknown",
        "  source: a README",
        "  cannot be run: nobody tells how",
        "",
        "longtail reproduce NAME runs the command, and compares",
    ]
    assert longtail("reproduce", "toy").out == longtail("reproduce", "--list").out == ended.out
    assert longtail("reproduce", "toy/small", "--list").out.splitlines()[:6] == ended.out.splitlines()[:6]


@pytest.mark.usefixtures("offered")
def test_list_as_json(longtail):
    told = json.loads(longtail("reproduce", "--json").out)
    first, second = told["results"]
    assert first["commands"] == ["python script.py --epochs 30"]
    assert first["reruns"] == [{"who": "a user", "accuracies": [45.0, 47.0]}]
    assert (second["name"], second["cannot_be_run_because"]) == ("toy/closed", "nobody tells how")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("toy/smal", "no published result is called toy/smal; did you mean toy/small?\nlongtail reproduce lists them\n"),
        ("toy/closed", "toy/closed cannot be run: nobody tells how\nlongtail reproduce toy lists what can be\n"),
        ("toy -- --epochs 3", "which result is to be run?"),
        ("--dry-run", "which result is to be run?"),
        ("erm", "nothing that was published about erm is known here\n"),
        ("toy/small --epochs 3", "unrecognized arguments: --epochs 3"),
    ],
)
@pytest.mark.usefixtures("offered")
def test_mistakes(longtail, words, said):
    ended = longtail("reproduce", *words.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"longtail: error: {said}")
    assert len(ended.err.splitlines()) <= 2


@pytest.mark.parametrize("words", ["--dry-run toy/small -- --root x y", "toy/small --dry-run -- --root x y"])
@pytest.mark.usefixtures("offered")
def test_dry_run_prints_the_command_alone(longtail, words):
    assert longtail("reproduce", *words.split()).out == "python script.py --epochs 30 --root x y\n"
    told = json.loads(longtail("reproduce", "--json", *words.split()).out)
    assert (told["result"], told["commands"]) == ("toy/small", ["python script.py --epochs 30 --root x y"])


def test_without_any_package(longtail, monkeypatch):
    monkeypatch.setattr(published, "entry_points", lambda **_: [])
    assert longtail("reproduce").out.startswith("no installed package tells of published results; for some, pip install ")
    assert json.loads(longtail("reproduce", "--json").out)["results"] == []


def test_a_broken_package_does_not_hide_the_others(longtail, monkeypatch):
    entries = [_Entry("broken", ImportError("no such thing")), _Entry("toy", (RESULT,))]
    monkeypatch.setattr(published, "entry_points", lambda **_: entries)
    ended = longtail("reproduce")
    assert ended.err == "notice: what was published about broken cannot be loaded: ImportError: no such thing\n"
    assert "toy/small" in ended.out


def test_listing_imports_nothing_heavy():
    code = """
import sys
from longtail.cli.main import dispatch
dispatch(["reproduce"])
dispatch(["reproduce", "--json"])
print(sorted({"torch", "numpy", "torchvision", "timm", "rich", "matplotlib", "PIL"} & set(sys.modules)), file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"


def test_a_result_says_how_it_can_be_run_or_why_not():
    with pytest.raises(ValueError, match="neither a command nor an obstacle"):
        Published("x", "x", "x", "x")
    with pytest.raises(ValueError, match=r"figures of \['top5'\]"):
        Published("x", "x", "x", "x", {"top5": 1.0}, obstacle="none")


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        ("", []),
        ("--epochs 30", []),
        ("--root elsewhere --resume-auto --device cpu --precision bf16", []),
        ("--epochs=3", ["--epochs 3 instead of 30"]),
        ("--max-steps 2 --max-epochs 1", ["--max-epochs 1", "--max-steps 2"]),
        ("--sel last --own", ["--own on instead of off", "--select last instead of test"]),
    ],
)
def test_flags_that_change_what_is_computed(flags, changed):
    assert _command("python script.py --epochs 30", "--own").changed(flags.split()) == changed


def test_each_of_several_scripts_gets_the_flags_that_it_knows():
    commands = [_command("python one.py", "--one"), _command("python two.py", "--two")]
    given = ["--epochs", "3", "--one", "--max-steps", "2", "--two", "--nobodys", "x"]
    first, second = flags_of_each(commands, given)
    assert first == ["--epochs", "3", "--one", "--max-steps", "2", "--nobodys", "x"]
    assert second == ["--epochs", "3", "--max-steps", "2", "--two", "--nobodys", "x"]
    assert flags_of_each(commands[:1], given) == [given]


def _record(accuracy=0.456, **more):
    summary = {"accuracy": accuracy, "many": 0.6, "medium": 0.4, "few": None}
    results = {"select": "test", "best": {"epoch": 6, **summary}, "last": {"epoch": 29, **summary, "accuracy": 0.45}}
    return {"command": "script.py", "identity": {"seed": 3}, "results": {**results, **more}}


def _reproduction(record, differences=(), result=RESULT):
    return Reproduction("toy/small", result, ["python script.py"], [record], ["runs/x"], differences)


def test_rows():
    record = _record(final={"with_flip": {"epoch": 6, "accuracy": 0.47, "many": 0.6, "medium": 0.4, "few": 0.1}})
    rows = _reproduction(record).rows
    assert [row.label for row in rows] == ["here, best epoch (7)", "here, last epoch (30)", "here, with flip"]
    assert rows[0] == Row("here, best epoch (7)", {"accuracy": pytest.approx(45.6), "many": 60.0, "medium": 40.0, "few": None})


def test_nothing_is_called_best_where_nothing_was_chosen():
    came = _reproduction(_record(select="last"))
    assert [row.label for row in came.rows] == ["here, last epoch (30)"]
    assert came.judged.values["accuracy"] == pytest.approx(45)
    assert came.chosen_by == "none: the last one counts"


@pytest.mark.parametrize(
    ("accuracy", "verdict", "said"),
    [
        (
            0.456,
            "within",
            "within 1 point of the published figure, inside the range of those who ran it again (45.00 to 47.00)",
        ),
        (0.44, "below", "2.60 points below the published figure, outside the range"),
        (0.48, "above", "1.40 points above the published figure, outside the range"),
    ],
)
def test_verdict(accuracy, verdict, said):
    came = _reproduction(_record(accuracy))
    assert came.verdict() == came.to_dict()["verdict"] == verdict
    assert any(f"here, best epoch (7): {said}" in text for text in came.remarks())
    assert any(text.startswith("one seed (3) is no proof") for text in came.remarks())


@pytest.mark.parametrize(
    ("differences", "result"), [(["--max-steps 2"], RESULT), ([], Published("x", "x", "x", "x", obstacle="x"))]
)
def test_no_verdict_where_nothing_can_be_compared(differences, result):
    came = _reproduction(_record(), differences, result)
    assert came.verdict() is None
    assert not any("published figure," in text for text in came.remarks())


def test_a_script_that_evaluates_is_judged_by_its_evaluation():
    record = {
        "command": "test.py --resume x",
        "identity": {},
        "results": {"test": {"accuracy": 0.466, "many": None, "medium": None, "few": None}},
    }
    came = Reproduction("toy/small", RESULT, [], [_record(), record], ["one", "two"], [])
    assert came.judged.label == "here, test.py"
    assert came.difference == pytest.approx(0)


def test_notes_are_left_for_those_who_ask(tmp_path, monkeypatch):
    monkeypatch.delenv(notes.FILE, raising=False)
    notes.leave(notes.RUN, "unheard")
    monkeypatch.setenv(notes.FILE, str(tmp_path / "notes"))
    for value in ("log/a", "log/a", "log/b"):
        notes.leave(notes.RUN, value)
    assert notes.read(tmp_path / "notes") == {notes.RUN: ["log/a", "log/b"], notes.OTHER_DATA: []}


def test_words_after_two_dashes_are_passed_on_untouched():
    from longtail.cli.parsing import Parser

    parser = Parser(passed_on="rest")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--flag", action="store_true")
    assert parser.parse_args(["a", "--flag", "--", "--flag", "--", "b"]) == argparse.Namespace(
        name="a", flag=True, rest=["--flag", "--", "b"]
    )
    assert parser.parse_args([]).rest == []
