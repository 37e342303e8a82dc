"""`longtail completion`: scripts that shells take, and what they complete."""

import shutil
import subprocess

import pytest

from longtail.cli.completion import SHELLS
from longtail.training.registry import installed_methods

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash")


@pytest.fixture
def completed(longtail, tmp_path):
    """What bash makes of the last word of a command line."""
    script = tmp_path / "longtail.bash"
    script.write_text(longtail("completion", "bash").out)

    def complete(*words):
        # the function is called as bash itself calls it: the command, the word to complete, the word before it
        code = """
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
set -- $(complete -p longtail)
while [ "$1" != -F ]; do shift; done
"$2" longtail "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
        told = subprocess.run([BASH, "-c", code, script, *words], capture_output=True, text=True, check=True, cwd=tmp_path)
        return told.stdout.split()

    return complete


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell, longtail):
    ended = longtail("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert all(word in ended.out for word in ("longtail", "compare", "completion"))


@needs_bash
def test_bash_can_read_its_script(longtail):
    script = longtail("completion", "bash").out
    read = subprocess.run([BASH, "-n"], input=script, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


@needs_bash
def test_commands_options_methods_and_files_are_completed(completed, tmp_path):
    (tmp_path / "some-run").mkdir()
    (tmp_path / "some-picture.png").touch()
    assert completed("longtail", "da") == ["data"]
    assert completed("longtail", "data", "make", "cifar100") == ["cifar100-lt"]
    assert set(completed("longtail", "train", "")) >= set(installed_methods())
    assert completed("longtail", "export", "some-run", "--form") == ["--format"]
    assert completed("longtail", "export", "some-run", "--format", "on") == ["onnx"]
    assert completed("longtail", "predict", "some") == ["some-run"]
    assert set(completed("longtail", "predict", "some-run", "some")) == {"some-run", "some-picture.png"}


def test_an_unknown_shell_is_a_mistake(longtail):
    ended = longtail("completion", "basic")
    assert ended.code == 2
    assert "invalid choice: 'basic'" in ended.err
