"""Flags made from dataclasses, and how the parser complains."""

import argparse
from dataclasses import dataclass, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.cli.parsing import Parser
from longtail.errors import UserError
from longtail.training.erm import ERMOptions
from longtail.training.options import add_options, at_least, between, option, read_options
from longtail.training.runtime import RuntimeOptions


@dataclass(frozen=True)
class Example:
    """One field of every kind."""

    epochs: int = option(5, "epochs")
    lr: float = option(0.1, "rate")
    loss_type: str = option("CE", "loss", choices=("CE", "BS"))
    tag: str = option("", "free text")
    mixes: bool = option(True, "mixing")
    strong: bool = option(False, "strength")
    limit: int | None = option(None, "limit")
    share: float = option(0.5, "share", type=between(0, 1))


def parser(options=Example, **settings):
    made = Parser(prog="longtail test")
    add_options(made.add_argument_group("method options"), options, **settings)
    return made


def words_of(options):
    """The command line that asks for these options."""
    words = []
    for each in fields(options):
        flag, value = "--" + each.name.replace("_", "-"), getattr(options, each.name)
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif value is not None:
            words.append(f"{flag}={value}")
    return words


@pytest.mark.parametrize("options", [Example, ERMOptions, RuntimeOptions])
def test_without_flags_the_defaults_hold(options):
    assert read_options(parser(options).parse_args([]), options) == options()


@given(
    st.builds(
        Example,
        epochs=st.integers(1, 10**6),
        lr=st.floats(1e-12, 1e12),
        loss_type=st.sampled_from(["CE", "BS"]),
        tag=st.text(st.characters(codec="ascii", categories=["L", "N"])),
        mixes=st.booleans(),
        strong=st.booleans(),
        limit=st.none() | st.integers(),
        share=st.floats(0, 1),
    )
)
@settings(derandomize=True, deadline=None, max_examples=50)
def test_options_survive_the_way_through_the_command_line(options):
    assert read_options(parser().parse_args(words_of(options)), Example) == options


def test_every_loss_option_of_plain_training_is_a_flag():
    options = ERMOptions(loss="ldam", train_rule="drw", order="class_aware", epochs=7, schedule="cosine", augmentation="none")
    assert read_options(parser(ERMOptions).parse_args(words_of(options)), ERMOptions) == options


def test_help_shows_defaults_and_choices():
    text = parser().format_help()
    assert "--epochs N" in text
    assert "(default: 5)" in text
    assert "{CE,BS}" in text
    assert "--mixes, --no-mixes" in text
    assert text.count("(default: True)") == text.count("(default: False)") == 1


LONG = ("circumference", "diameter", "eccentricity", "curvature")


@dataclass(frozen=True)
class Choosing:
    """Fields with more choices than fit beside a flag."""

    untold: str = option("diameter", "a measure", choices=LONG)
    told: str = option("diameter", "diameter, or else circumference, eccentricity; curvature", choices=LONG)


def test_many_choices_are_told_in_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = " ".join(parser(Choosing).format_help().split())
    assert "{" not in text
    assert f"--untold NAME a measure: {', '.join(LONG)} (default: diameter)" in text
    assert f"--told NAME {fields(Choosing)[1].metadata['help']} (default: diameter)" in text
    with pytest.raises(UserError, match="--untold: invalid choice: 'radius'"):
        parser(Choosing).parse_args(["--untold", "radius"])


def test_a_default_that_hangs_on_other_flags_is_told_and_none():
    made = parser(depending={"epochs": "as many as it takes", "mixes": "off for two classes"})
    parsed, text = made.parse_args([]), " ".join(made.format_help().split())
    assert (parsed.epochs, parsed.mixes, parsed.lr) == (None, None, 0.1)
    assert "--epochs N epochs (default: as many as it takes)" in text
    assert "--no-mixes mixing (default: off for two classes)" in text
    assert made.parse_args(["--no-mixes"]).mixes is False


def test_only_the_named_fields_are_offered():
    made = parser(only=("epochs",))
    assert read_options(made.parse_args(["--epochs", "9"]), Example) == Example(epochs=9)
    with pytest.raises(UserError, match="unrecognized arguments: --lr"):
        made.parse_args(["--lr", "1"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epochs 0", "--epochs: must be at least 1, got 0"),
        ("--epochs 1.5", "--epochs: invalid integer value: '1.5'"),
        ("--lr 0", "--lr: must be greater than 0, got 0"),
        ("--lr nan", "--lr: must be greater than 0, got nan"),
        ("--lr inf", "--lr: must be greater than 0, got inf"),
        ("--lr fast", "--lr: invalid number value: 'fast'"),
        ("--share 1.5", "--share: must be at least 0 and at most 1, got 1.5"),
        ("--loss-type XE", "--loss-type: invalid choice: 'XE'"),
        ("--epoch 3", "unrecognized arguments: --epoch 3; did you mean --epochs?"),
        ("--loss_type=CE", "unrecognized arguments: --loss_type=CE; did you mean --loss-type?"),
    ],
)
def test_complaints_are_two_lines_that_name_the_flag(words, message):
    with pytest.raises(UserError) as error:
        parser().parse_args(words.split())
    assert message in str(error.value)
    assert str(error.value).splitlines()[1:] == ["see longtail test --help"]


def test_nothing_is_suggested_that_is_not_near():
    with pytest.raises(UserError, match=r"--nonsense 3\nsee"):
        parser().parse_args(["--nonsense", "3"])


def test_a_command_below_complains_for_itself():
    above = Parser(prog="longtail")
    below = above.add_subparsers().add_parser("test")
    below.add_argument("--twice", action="store_true")
    with pytest.raises(UserError, match="did you mean --twice\\?\nsee longtail test --help"):
        above.parse_args(["test", "--twic"])


def test_ranges():
    assert [at_least(0)("0"), between(0)("0"), between(0, 1)("1")] == [0, 0.0, 1.0]
    for convert, text in [(at_least(0), "-1"), (between(0), "-0.1"), (between(0, 1, least_excluded=True), "0")]:
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            convert(text)


def test_a_field_that_no_flag_can_express_is_refused():
    @dataclass(frozen=True)
    class Odd:
        """A field of an unknown kind."""

        sizes: bytes = option(b"", "sizes")

    with pytest.raises(TypeError, match="sizes"):
        parser(Odd)
