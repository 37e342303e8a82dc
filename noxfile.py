"""The project's checks and chores: `nox -s NAME`, or `python3 run.py NAME` where nox is not installed; `nox -l` lists them.

Every session runs in an environment of its own, with the packages installed as a user gets them: copies, not links to
the clone. What follows `--` on nox's command line goes to the program that the session is about.
"""

import configparser
import os
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
METHODS = sorted(project.parent for project in ROOT.glob("methods/*/pyproject.toml"))
PACKAGES = [ROOT / "common", *METHODS]
SOURCES = [str(folder / "src") for folder in PACKAGES]
TESTS = {f"test-{folder.name.replace('_', '-')}": folder for folder in PACKAGES}

EVERY_EXTRA = "./common[report,tensorboard]"
IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""
EVERYWHERE = ("*.py", "*.md", "*.toml", ":!noxfile.py")
# Randomness itself lends the global generators to libraries that draw from no others, and takes them back unchanged
SOURCES_THAT_DRAW = ("*/src/*.py", ":!common/src/longtail/randomness.py")
FORBIDDEN = (
    (r"(^|[^d])type=bool", EVERYWHERE, "argparse takes any text for true: use a flag"),
    (r"weights_only=False", EVERYWHERE, "a checkpoint must not be able to run code"),
    (r"\bTODO\b|\bFIXME\b|\bXXX\b|mark\.xfail", EVERYWHERE, "finish it, or leave it out"),
    (r"/(home|root|tmp|work)/", EVERYWHERE, "a path of one machine"),
    (r"(np|numpy)\.random\.(seed|rand|randn|randint|choice|shuffle|permutation)\(", SOURCES_THAT_DRAW, "draw from Randomness"),
    (r"^\s*(import random$|from random import)", SOURCES_THAT_DRAW, "draw from Randomness"),
)

# threads that wait for each other cost more than they bring on networks as small as those of the tests
ONE_THREAD = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|venv"
nox.options.sessions = ["tests"]

os.environ.pop("PYTHONPATH", None)
os.environ["UV_NO_SOURCES"] = "1"  # or uv would link the core to the clone, as a member of the workspace


def group(name: str, project: Path = ROOT) -> list[str]:
    """The requirements of a dependency group."""
    return list(nox.project.dependency_groups(nox.project.load_toml(project / "pyproject.toml"), name))


def import_name(folder: Path) -> str:
    """The package in a folder's src."""
    (package,) = (folder / "src").glob("*/__init__.py")
    return package.parent.name


@nox.session
def demo(session: nox.Session) -> None:
    """Compare three methods on embedded data in a minute or two."""
    session.install("./common[report]", "./methods/cmo")
    session.run("longtail", "demo", *session.posargs)


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything that must pass before a change lands."""
    for name in ("lint", "types", "docs", "packaging", *TESTS):
        session.notify(name)


def test_session(name: str, folder: Path) -> None:
    """Define the session that tests one package in an environment that holds nothing else of this repository but the core."""

    @nox.session(name=name)
    def test(session: nox.Session) -> None:
        package, extras = folder.relative_to(ROOT), "[report,tensorboard]" if folder.name == "common" else ""
        if extras:
            session.install(f"./{package}")
            session.run("python", "-c", IMPORT_EVERY_MODULE, import_name(folder))
        session.install(f"./{package}{extras}", *group("test", folder))
        session.run("pytest", "-q", f"{package}/tests", *session.posargs, env=ONE_THREAD)

    test.__doc__ = f"Test {folder.name} alone."


for _name, _folder in TESTS.items():
    test_session(_name, _folder)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, import rules, and words that must not occur."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    importable = {"PYTHONPATH": os.pathsep.join(SOURCES)}
    session.run("lint-imports", "--no-cache", env=importable)
    session.run("lint-imports", "--no-cache", "--config", str(method_contracts(session)), env=importable)
    for pattern, where, reason in FORBIDDEN:
        session.log(f"searching for what must not occur: {reason}")
        session.run("git", "grep", "--untracked", "-nE", pattern, "--", *where, success_codes=[1], external=True)


def method_contracts(session: nox.Session) -> Path:
    """import-linter's rules about methods, for whatever methods there are."""
    names = [import_name(folder) for folder in METHODS]
    rules = configparser.ConfigParser()
    rules["importlinter"] = {"root_packages": "\n".join(["longtail", *names])}
    rules["importlinter:contract:core"] = {
        "name": "methods stand on the core, not on each other, and the core knows none of them",
        "type": "layers",
        "layers": "\n".join([" | ".join(names), "longtail"]),
    }
    path = Path(session.create_tmp()) / "methods.ini"
    with path.open("w", encoding="utf-8") as file:
        rules.write(file)
    return path


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all sources."""
    session.install(EVERY_EXTRA, *(f"./{folder.relative_to(ROOT)}" for folder in METHODS), *group("types"))
    session.run("mypy", *SOURCES, env={"MYPYPATH": os.pathsep.join(SOURCES)})


@nox.session
def docs(session: nox.Session) -> None:
    """Check that documented files, commands and flags exist."""
    session.install("./common", *(f"./{folder.relative_to(ROOT)}" for folder in METHODS), *group("docs"))
    session.run("pytest", "-q", "tests/docs", *session.posargs)


@nox.session
def packaging(session: nox.Session) -> None:
    """Install and build in every way that is promised."""
    session.install(*group("packaging"))
    session.run("pytest", "-q", "tests/packaging", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed: `-- NAME ...` runs benchmarks/NAME.py, cmo_epoch unless told."""
    words = list(session.posargs)
    name = words.pop(0) if words and not words[0].startswith("-") else "cmo_epoch"
    if not (ROOT / "benchmarks" / f"{name}.py").is_file():
        session.error(
            f"no benchmark {name!r}; there are: " + ", ".join(sorted(each.stem for each in ROOT.glob("benchmarks/[!_]*.py")))
        )
    session.install("./common", *(f"./{folder.relative_to(ROOT)}" for folder in METHODS))
    session.run("python", f"benchmarks/{name}.py", *words)


@nox.session(name="min-deps", venv_backend="uv")
def min_deps(session: nox.Session) -> None:
    """Test all packages with the oldest dependencies that they admit."""
    if sys.version_info >= (3, 13):
        session.error("the oldest dependencies were not built for this Python: use 3.10, 3.11 or 3.12")
    projects = [word for folder in PACKAGES for word in ("-r", f"{folder}/pyproject.toml")]
    session.run_install("uv", "pip", "install", "--resolution", "lowest-direct", "--all-extras", *projects)
    session.install("--no-deps", *map(str, PACKAGES))
    session.install(*(requirement for folder in PACKAGES for requirement in group("test", folder)))
    session.run("uv", "pip", "list")
    for folder in PACKAGES:
        session.run("pytest", "-q", f"{folder}/tests", *session.posargs, env=ONE_THREAD)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdists, and from them the wheels, into dist/."""
    session.install("build[uv]")
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    for folder in PACKAGES:
        session.run("python", "-m", "build", "--installer", "uv", "--outdir", "dist", str(folder))
