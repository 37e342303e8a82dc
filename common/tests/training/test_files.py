"""Writing files: whole or not at all."""

import resource
from contextlib import contextmanager

import pytest
from toys import ToyRun

from longtail.errors import UserError
from longtail.training.files import AppendedFile, make_folder, read_json, write_atomically, write_json


@contextmanager
def largest_file(size):
    """While this lasts, the system refuses to let a file grow beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "file"
    for content in (b"long content", b"short"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_full_disk_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"before")
    with largest_file(1000), pytest.raises(UserError, match=r"cannot write .*file: .*untouched"):
        write_atomically(path, bytes(100_000))
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_full_disk_while_a_checkpoint_is_saved(tmp_path):
    run = ToyRun(tmp_path)
    run.train(max_epochs=1)
    before = (tmp_path / "checkpoint" / "ckpt.pth.tar").read_bytes()
    with largest_file(3000), pytest.raises(UserError, match="cannot write"):
        run.train(resume_auto=True)
    assert (tmp_path / "checkpoint" / "ckpt.pth.tar").read_bytes() == before
    whole = ToyRun(tmp_path / "whole")
    assert run.train(resume_auto=True)[0] == whole.train()[0]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "log").write_text("mine")
    with pytest.raises(UserError, match="cannot"):
        ToyRun(tmp_path).train()
    assert (tmp_path / "log").read_text() == "mine"
    with pytest.raises(UserError, match="cannot make the folder"):
        make_folder(tmp_path / "log" / "below")


def test_appended_file_is_cut_back(tmp_path):
    log = AppendedFile(tmp_path / "log", 0)
    log.append("kept\n")
    size = log.size
    log.append("lost\n")
    AppendedFile(tmp_path / "log", size).append("added\n")
    assert (tmp_path / "log").read_text() == "kept\nadded\n"
    assert AppendedFile(tmp_path / "log", None).size == 11


def test_json(tmp_path):
    write_json(tmp_path / "value.json", {"a": [1, None]})
    assert read_json(tmp_path / "value.json") == {"a": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", float("nan"))
    (tmp_path / "value.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(tmp_path / "value.json")
    with pytest.raises(UserError, match="cannot read"):
        read_json(tmp_path / "other.json")
