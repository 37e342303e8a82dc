"""What the documents name exists: files, headings, sessions, commands and their flags."""

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTED = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
NAMES = subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
DOCUMENTS = [ROOT / name for name in NAMES if (ROOT / name).is_file()]
SHELLS = {"sh", "bash", "console", "shell"}


def text_and_blocks(document):
    """A document's text without its code blocks, and the blocks as (language, content)."""
    content = document.read_text("utf-8")
    fence = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    return fence.sub("", content), fence.findall(content)


def anchors(document):
    """The anchors that a document's headings get."""
    headings = re.findall(r"^#+ (.+)$", text_and_blocks(document)[0], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text, _ = text_and_blocks(document)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


def documented_commands():
    """Each command line in a shell block, once, with the document that has it first."""
    commands = {}
    for document in DOCUMENTS:
        for language, block in text_and_blocks(document)[1]:
            if language in SHELLS:
                for line in block.replace("\\\n", " ").splitlines():
                    command = line.strip().removeprefix("$ ")
                    commands.setdefault(command, document)
    return commands


def without_assignments(words):
    """The words after any leading NAME=value."""
    return words[next((place for place, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words)) :]


def is_ours(words):
    """Whether a command line runs a program of this project."""
    if words[:1] in (["python"], ["python3"]):
        return any(word.endswith(".py") for word in words[1:2])
    return words[:1] in (["longtail"], ["nox"])


def programs():
    """The documented command lines of programs of ours, with their documents."""
    split = [(without_assignments(shlex.split(line, comments=True)), path) for line, path in documented_commands().items()]
    return [pytest.param(words, path, id=" ".join(words)) for words, path in split if is_ours(words)]


def sessions():
    """The names of the sessions in noxfile.py."""
    listed = subprocess.run([sys.executable, "-m", "nox", "--list"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(re.findall(r"^[*-] (\S+)", listed.stdout, re.MULTILINE))


def script(name, document):
    """The script that a command means: beside the document, in the root, or in the one method that has it."""
    for folder in (document.parent, ROOT, *sorted(ROOT.glob("methods/*"))):
        if (folder / name).is_file():
            return folder / name
    return None


def test_there_are_commands_to_check():
    assert len(programs()) > 3


@pytest.mark.parametrize(("words", "document"), programs())
def test_documented_command_exists(words, document):
    if words[0] == "nox":
        names = re.findall(r"(?:-s|--session) (\S+)", " ".join(words))
        assert set(names) <= sessions()
    elif Path(words[1]).name == "run.py":
        session = next((word for word in words[2:] if not word.startswith("-")), "tests")
        assert session in sessions()
    else:
        check_flags(words, document)


def check_flags(words, document):
    """A command's flags stand in its own help."""
    if words[0] == "longtail":
        program = [shutil.which("longtail"), *itertools.takewhile(lambda word: not word.startswith("-"), words[1:])]
    else:
        file = script(words[1], document)
        assert file, f"no script {words[1]}"
        program = [sys.executable, str(file)]
    done = subprocess.run([*program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))
    flags = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)}
    assert flags <= known
