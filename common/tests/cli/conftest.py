from dataclasses import dataclass

import pytest

from longtail.cli.main import dispatch
from longtail.training.commands import run_command


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def longtail(monkeypatch, tmp_path, capsys):
    """Runs the `longtail` command in an empty folder and says how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LONGTAIL_ADDOPTS", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # several GPUs would start the test run anew on each of them

    def call(*words):
        argv = [str(word) for word in words]
        monkeypatch.setattr("sys.argv", ["/usr/bin/longtail", *argv])
        with pytest.raises(SystemExit) as stop:
            run_command(dispatch)
        return Ended(stop.value.code, *capsys.readouterr())

    return call
