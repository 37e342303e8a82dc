"""What all packages must have in common, since none of them sees the others while it is built."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
METHODS = sorted(project.parent for project in ROOT.glob("methods/*/pyproject.toml"))
PACKAGES = [ROOT / "common", *METHODS]


def named(folders):
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def package(folder):
    (init,) = (folder / "src").glob("*/__init__.py")
    return init.parent


def version(folder):
    return re.search(r'^__version__ = "(.+)"$', (package(folder) / "__init__.py").read_text("utf-8"), re.MULTILINE)[1]


@named(METHODS)
def test_one_version_for_all(folder):
    assert version(folder) == version(ROOT / "common")


@named(METHODS)
def test_the_build_is_the_same_for_every_method(folder):
    assert (folder / "hatch_build.py").read_bytes() == (METHODS[0] / "hatch_build.py").read_bytes()


@named(PACKAGES)
def test_licence_and_types_come_with_every_package(folder):
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (package(folder) / "py.typed").is_file()


@named(PACKAGES)
def test_names_follow_the_folder(folder):
    name = "longtail-common" if folder.name == "common" else f"longtail-{folder.name.replace('_', '-')}"
    assert f'\nname = "{name}"\n' in (folder / "pyproject.toml").read_text("utf-8")
    assert package(folder).name == ("longtail" if folder.name == "common" else f"longtail_{folder.name}")


def test_the_changelog_has_a_section_for_what_is_coming():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert len(set(headings)) == len(headings)
