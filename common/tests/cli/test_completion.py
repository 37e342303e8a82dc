"""`longtail completion`: scripts that shells take, and what the Tab key makes of a line in a real terminal."""

import io
import os
import re
import select
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint

import pytest

from longtail.cli.completion import SHELLS
from longtail.cli.main import dispatch
from longtail.training.registry import GROUP, installed_methods

_BEGINNINGS = {
    "bash": (".bashrc", "source longtail.bash", ["bash", "--noprofile", "--rcfile", ".bashrc", "-i"]),
    "zsh": (".zshrc", "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D", ["zsh", "-d", "-i"]),
    "tcsh": (".tcshrc", "source longtail.tcsh", ["tcsh"]),
}
"""For each shell the file that it reads first, how that brings the script in, and how the shell is started."""
_SCRIPTS = {"bash": "longtail.bash", "zsh": "_longtail", "tcsh": "longtail.tcsh"}
_STAND_IN = """#!/bin/sh
printf '\\nasked for(%s)\\n' "$*"
"""
_AT_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Python for a process that makes its standard input its terminal: tcsh edits lines on no other."""


@pytest.fixture(scope="module")
def scripts():
    """The script of every shell."""

    def script(shell):
        with redirect_stdout(io.StringIO()) as out:
            dispatch(["completion", shell])
        return out.getvalue()

    return {shell: script(shell) for shell in SHELLS}


class Terminal:
    """A shell at a terminal of its own, in which `longtail` is a program that tells what it is asked for."""

    def __init__(self, shell, script, folder):
        import pty

        (folder / "bin").mkdir()
        (folder / "bin/longtail").write_text(_STAND_IN)
        (folder / "bin/longtail").chmod(0o755)
        (folder / _SCRIPTS[shell]).write_text(script)
        file, command, words = _BEGINNINGS[shell]
        prompt = "set prompt = 'ready> '" if shell == "tcsh" else "PS1='ready> '"
        (folder / file).write_text(f"{prompt}\n{command}\n")
        home = {"HOME": str(folder), "ZDOTDIR": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TERM": "xterm"}
        self.side, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *words], stdin=other, stdout=other, stderr=other, cwd=folder, env=home
        )
        os.close(other)
        self.said = ""
        self._until(r"ready> ")

    def tab(self, line):
        """What `longtail` is asked for when this line is typed after its name, then Tab, then Return."""
        os.write(self.side, f"longtail {line}\t\r".encode())
        return self._until(r"asked for\((.*?)\).*ready> ")[1]

    def _until(self, pattern):
        while not (found := re.search(pattern, self.said, re.DOTALL)):
            assert select.select([self.side], [], [], 30)[0], f"the shell is silent after {self.said!r}"
            self.said += os.read(self.side, 65536).decode(errors="replace")
        self.said = self.said[found.end() :]
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.side)


@pytest.fixture(params=SHELLS)
def terminal(request, scripts, tmp_path):
    """A terminal with each shell, in a folder with a run and a picture."""
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param}")
    pytest.importorskip("pty", reason="there are no terminals")
    (tmp_path / "some-run").mkdir()
    (tmp_path / "some-picture.png").touch()
    made = Terminal(request.param, scripts[request.param], tmp_path)
    yield made
    made.close()


def test_commands_methods_words_and_files_are_completed(terminal):
    assert terminal.tab("compa") == "compare"
    assert terminal.tab("data ins") == "data inspect"
    assert terminal.tab("train er") == "train erm"
    assert terminal.tab("completion zs") == "completion zsh"
    assert terminal.tab("export some-run --format onn") == "export some-run --format onnx"
    assert terminal.tab("compare --methods ldam-d") == "compare --methods ldam-drw"
    assert terminal.tab("predict some-run some-p") == "predict some-run some-picture.png"
    assert terminal.tab("train erm --pretrained some-p") == "train erm --pretrained some-picture.png"
    assert terminal.tab("train erm --out some-").rstrip("/") == "train erm --out some-run"
    assert terminal.tab("eval --no-such-opt") == "eval --no-such-opt"


@pytest.mark.parametrize("terminal", ["bash", "zsh"], indirect=True)  # shtab knows less of tcsh, some versions very little
def test_the_options_of_each_command_and_method_are_completed(terminal):
    assert terminal.tab("data make cifar100") == "data make cifar100-lt"
    assert terminal.tab("train erm --pretr") == "train erm --pretrained"
    assert terminal.tab("train erm --imbal") == "train erm --imbalance-factor"
    assert terminal.tab("train erm --loss balanced_so") == "train erm --loss balanced_softmax"
    assert terminal.tab("train erm --seed 3 --select la") == "train erm --seed 3 --select last"
    assert terminal.tab("data make cifar10-lt --imbal") == "data make cifar10-lt --imbalance-factor"
    assert terminal.tab("eval some-").rstrip("/") == "eval some-run"
    # of another command
    assert terminal.tab("eval some-run --imbal") == "eval some-run --imbal"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_lists_all_that_may_follow(scripts, tmp_path):
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
    script = tmp_path / "longtail.bash"
    script.write_text(scripts["bash"])

    def listed(*words):
        told = subprocess.run(["bash", "-c", code, script, "longtail", *words], capture_output=True, text=True, check=True)
        return set(told.stdout.split())

    assert listed("train", "") == set(installed_methods())
    assert listed("data", "") == {"inspect", "fake", "make"}
    assert {"--data", "--loss", "--epochs", "--device", "--help", "--json"} <= listed("train", "erm", "--")
    assert listed("eval", "run", "--which", "") == {"best", "last"}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell, scripts):
    assert all(word in scripts[shell] for word in ("longtail", "compare", "completion"))


def test_a_broken_method_is_completed_without_its_options(longtail, monkeypatch):
    installed = {"broken": EntryPoint("broken", "no_such_module:METHOD", GROUP), "erm": installed_methods()["erm"]}
    for module in ("longtail.training.method", "longtail.cli.train", "longtail.cli.completion"):
        monkeypatch.setattr(f"{module}.installed_methods", lambda: installed)
    ended = longtail("completion", "bash")
    assert ended.code == 0
    assert ended.err.startswith("notice: broken is completed without its options: ModuleNotFoundError")
    assert "_shtab_longtail_train_subparsers=('broken' 'erm')" in ended.out.replace("(broken erm)", "('broken' 'erm')")


def test_an_unknown_shell_is_a_mistake(longtail):
    ended = longtail("completion", "basic")
    assert ended.code == 2
    assert "invalid choice: 'basic'" in ended.err
