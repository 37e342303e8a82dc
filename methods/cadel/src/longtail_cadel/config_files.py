"""Where configurations lie: a user's own, and the paper's, which come with the package."""

from __future__ import annotations

import difflib
from pathlib import Path, PurePosixPath

from longtail.errors import UserError


def find_config(name: str | Path) -> Path:
    """The file that `--cfg` names: seen from the working directory, or else from the folder of the paper's scripts.

    Raises:
        UserError: there is no such file.
    """
    given = Path(name).expanduser()
    for path in dict.fromkeys((given, scripts_folder() / given)):
        if path.is_file():
            return path
    published = [f"./{path}" for path in published_configs()]
    near = difflib.get_close_matches(str(name), published, n=1)
    remedy = f"did you mean {near[0]}?" if near else "the paper's are " + ", ".join(published)
    raise UserError(f"--cfg {name}: there is no such file, here or among the paper's; {remedy}")


def scripts_folder() -> Path:
    """The folder that holds `config/`: inside an installed package, or the one of the scripts in a clone."""
    installed = Path(__file__).with_name("scripts")
    return installed if installed.is_dir() else Path(__file__).parents[2]


def published_configs() -> list[PurePosixPath]:
    """The files of `config/`, relative to `scripts_folder`."""
    folder = scripts_folder()
    return sorted(PurePosixPath(path.relative_to(folder).as_posix()) for path in folder.glob("config/*/*.yaml"))
