"""Run a session of noxfile.py on a machine that has nothing but Python and pip.

    python3 run.py demo            any session, by its name; without one, the list of sessions
    python3 run.py test-cmo -k V1  what follows the name goes to the session
    python3 run.py -r test-cmo     options before the name are nox's: here, keep the session's environment

The first call installs nox and uv into .tools/, beside this file and out of every Python's way; nothing else is touched, so it
also works where the system's Python is managed by the distribution. Later calls need no network for this.
"""

# Whatever `python3` is reads this file: no syntax that Python 3.6 lacks, so that an old one gets to say what is wrong.

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
REQUIREMENTS = ["nox>=2025.5.1,<2028", "uv>=0.6,<1"]
OLDEST_PYTHON = (3, 10)


def main(words):
    """Install the tools if need be, and hand over to nox."""
    if sys.version_info < OLDEST_PYTHON:
        this, least = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST_PYTHON))
        sys.exit(f"this is Python {this}, and longtail needs {least} or newer; if you have one: python{least} run.py ...")
    tools = installed_tools()
    os.environ["PATH"] = os.pathsep.join([str(tools / "bin"), os.environ.get("PATH", os.defpath)])
    os.environ["UV"] = shutil.which("uv", path=str(tools / "bin"))  # or nox would prefer one that lies beside the interpreter
    sys.path.insert(0, str(tools))
    from nox.__main__ import main as nox

    sys.argv = ["nox", "--noxfile", str(ROOT / "noxfile.py"), *nox_arguments(words)]
    nox()


def nox_arguments(words):
    """nox's command line for ours."""
    place = next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))
    options, session = words[:place], words[place:]
    if not session:
        return options or ["--list"]
    return [*options, "--session", session[0], "--", *session[1:]]


def installed_tools():
    """The folder with nox and uv for this Python; it appears under its name only once it is complete."""
    key = "-".join(["python{}.{}".format(*sys.version_info), *REQUIREMENTS])
    folder = TOOLS / "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in key)
    if not folder.is_dir():
        print(f"installing nox and uv into {TOOLS}", file=sys.stderr, flush=True)
        TOOLS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=str(TOOLS), prefix="unfinished-") as unfinished:
            install(Path(unfinished) / "tools")
            try:
                (Path(unfinished) / "tools").rename(folder)
            except OSError:
                if not folder.is_dir():  # else another run was faster
                    raise
    return folder


def install(folder):
    """Install with pip into a folder, whatever the user's settings say about where pip installs."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.call([*pip, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        sys.exit("this Python has no pip: install it (Debian and Ubuntu: apt install python3-pip) and try again")
    settings = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    command = [*pip, "install", "--quiet", "--target", str(folder), *REQUIREMENTS]
    if subprocess.call(command, env={**os.environ, **settings}):
        sys.exit("pip could not install nox and uv: see its message above")


if __name__ == "__main__":
    main(sys.argv[1:])
