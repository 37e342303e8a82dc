"""Every promised way to install, in real environments: from a clone and from what is built of it, with uv and with pip."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("longtail-common", "longtail-cmo")
OLD_PIP = "pip==23.0.1" if sys.version_info < (3, 12) else "pip==23.3.2"
UV, PIP = ("uv", "pip", "install", "--quiet"), ("python", "-m", "pip", "install", "--quiet")
WHERE = """
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        origin = metadata.distribution(name).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        continue
    found[name] = json.loads(origin) if origin else None
print(json.dumps(found))
"""


class Environment:
    """A virtual environment, and commands in it."""

    def __init__(self, folder, clone):
        self.folder, self.clone = folder, clone
        self.run("uv", "venv", "--quiet", "--no-project", "--python", sys.executable, folder, cwd=folder.parent)

    def run(self, *words, cwd=None, sources=False):
        """The standard output of a command that must succeed; `sources` lets uv see the workspace."""
        scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "UV_NO_SOURCES", "UV_PYTHON")}
        uv = {"VIRTUAL_ENV": str(self.folder)} | ({} if sources else {"UV_NO_SOURCES": "1"})
        path = os.pathsep.join([str(scripts), os.environ["PATH"]])
        program = shutil.which(words[0], path=path)
        done = subprocess.run(
            [program, *map(str, words[1:])],
            cwd=cwd or self.clone,
            env=kept | uv | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def origins(self):
        """Of each of our distributions that is installed, where from (PEP 610), or None where from an index."""
        return json.loads(self.run("python", "-c", WHERE, *DISTRIBUTIONS, cwd=self.folder))

    def clear(self):
        self.run("uv", "pip", "uninstall", "--quiet", *DISTRIBUTIONS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a clone would hold, at a path that has to be quoted in a URL."""
    folder = tmp_path_factory.mktemp("a clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(clone, tmp_path_factory):
    """A folder with the sdists, and the wheels built from them."""
    folder = tmp_path_factory.mktemp("dist")
    for package in ("common", "methods/cmo"):
        subprocess.run(["uv", "build", "--quiet", "--out-dir", folder, package], cwd=clone, check=True)
    return folder


@pytest.fixture(scope="module")
def environment(clone, tmp_path_factory):
    """An environment into which uv has put CMO when it was empty; later tests replace our packages, not what they depend on."""
    environment = Environment(tmp_path_factory.mktemp("environments") / "cmo", clone)
    environment.run(*UV, "./methods/cmo")
    return environment


def from_clone(clone, *, editable=()):
    """The origins that an installation from the clone records."""
    folders = dict(zip(DISTRIBUTIONS, (clone / "common", clone / "methods" / "cmo"), strict=True))
    return {
        name: {"url": folder.as_uri(), "dir_info": {"editable": True} if name in editable else {}}
        for name, folder in folders.items()
    }


def test_a_method_brings_the_core_of_its_clone(environment, clone):
    assert environment.origins() == from_clone(clone)
    listed = environment.run("longtail", "methods")
    assert "erm" in listed
    assert "cmo" in listed
    assert "--mixup_prob" in environment.run("python", clone / "methods" / "cmo" / "cifar_train.py", "--help")
    environment.run("uv", "pip", "check")


def test_the_core_stands_alone(clone, tmp_path):
    environment = Environment(tmp_path / "core", clone)
    environment.run(*UV, "./common")
    assert list(environment.origins()) == ["longtail-common"]
    listed = environment.run("longtail", "methods")
    assert "erm" in listed
    assert "cmo" not in listed


@pytest.mark.parametrize(
    ("pip", "words", "editable"),
    [
        (OLD_PIP, ["./methods/cmo"], ()),
        (OLD_PIP, ["-e", "./common", "-e", "./methods/cmo"], DISTRIBUTIONS),
        ("pip", ["./common[report]", "./methods/cmo"], ()),
    ],
    ids=["method", "editable", "both"],
)
def test_pip_installs_from_the_clone(environment, clone, pip, words, editable):
    environment.run(*UV, "--upgrade", pip)
    environment.clear()
    environment.run(*PIP, *words)
    assert environment.origins() == from_clone(clone, editable=editable)
    assert "cmo" in environment.run("longtail", "methods")


@pytest.mark.parametrize("sources", [False, True], ids=["paths", "workspace"])
def test_uv_installs_both_editable(environment, clone, sources):
    environment.clear()
    environment.run(*UV, "-e", "./common", "-e", "./methods/cmo", sources=sources)
    assert environment.origins() == from_clone(clone, editable=DISTRIBUTIONS)


def test_uv_links_the_core_as_a_member_of_the_workspace(environment, clone):
    environment.clear()
    environment.run(*UV, "./methods/cmo", sources=True)
    assert environment.origins() == from_clone(clone, editable=["longtail-common"])


@pytest.mark.parametrize(("folder", "package"), [("common", "longtail"), ("methods/cmo", "longtail_cmo")])
def test_uv_notices_that_a_source_has_changed(environment, clone, folder, package):
    environment.clear()
    environment.run(*UV, "./methods/cmo")
    module = clone / folder / "src" / package / "freshly_added.py"
    module.write_text('"""New."""\n')
    environment.run(*UV, "./methods/cmo", "./common")
    environment.run("python", "-c", f"import {package}.freshly_added", cwd=environment.folder)
    module.unlink()


def test_what_is_built_names_no_path(built):
    names = sorted(path.name for path in built.glob("longtail*"))
    assert [name.split("-")[0] for name in names] == ["longtail_cmo"] * 2 + ["longtail_common"] * 2
    version = names[0].split("-")[1]
    for path in built.glob("longtail*"):
        metadata = read_metadata(path)
        assert "file:" not in metadata
        assert f"Version: {version}\n" in metadata
        assert "License-File: LICENSE\n" in metadata
        if "cmo" in path.name:
            assert f"Requires-Dist: longtail-common[tensorboard]=={version}\n" in metadata


def read_metadata(path):
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
            return wheel.read(name).decode()
    with tarfile.open(path) as sdist:
        return sdist.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO").read().decode()


def test_an_sdist_holds_what_a_wheel_leaves_out(built):
    (sdist,) = built.glob("longtail_cmo-*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {str(Path(name).relative_to(sdist.name.removesuffix(".tar.gz"))) for name in archive.getnames()}
    assert {"LICENSE", "README.md", "hatch_build.py", "cifar_train.py", "src/longtail_cmo/py.typed"} <= inside
    assert any(name.startswith("tests/") for name in inside)


@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_what_is_built_installs_anywhere(environment, built, kind, tmp_path):
    environment.clear()
    (cmo,) = built.glob(f"longtail_cmo-*.{kind}")
    environment.run(*UV, "--find-links", built, cmo, cwd=tmp_path)
    origins = environment.origins()
    assert origins["longtail-common"] is None
    assert "archive_info" in origins["longtail-cmo"]
    assert "cmo" in environment.run("longtail", "methods", cwd=tmp_path)
