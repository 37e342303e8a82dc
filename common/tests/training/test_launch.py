"""One process per GPU: what is started, what its ranks see, and how their ends become one end."""

import argparse
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from longtail.errors import UserError
from longtail.training import failures
from longtail.training.commands import run_command
from longtail.training.devices import choose_device
from longtail.training.failures import Failure
from longtail.training.launch import _explain, gpu_ids, plan_ranks, relaunch

SCRIPT = """
import json, os, signal, sys
from pathlib import Path
from longtail.errors import UserError
from longtail.training.commands import run_command
from longtail.training.launch import relaunch

def main(argv):
    code = relaunch((0, 1), "cpu")
    if code is not None:
        return code
    rank, task, *rest = os.environ["RANK"], *argv
    if task == "meet":
        import torch
        from longtail import distributed
        place = distributed.start(torch.device("cpu"))
        total = torch.tensor(float(place.rank + 1))
        distributed.sum_over_ranks([total])
        seen = [*place, total.item(), rest, os.environ["OMP_NUM_THREADS"]]
        Path(rest[0], f"rank{rank}.json").write_text(json.dumps(seen))
        distributed.stop()
    if task == "wait":
        os.write(1, f"{os.getpid()}\\n".encode())
        signal.pause()
    if task == "mistake":
        raise UserError("no such folder")
    if task == "bug":
        raise ZeroDivisionError("by naught")

if __name__ == "__main__":
    run_command(main)
"""


@pytest.fixture(autouse=True)
def nothing_inherited(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LONGTAIL_ADDOPTS", "LONGTAIL_FAILURES", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "tiny_command.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def machine(monkeypatch):
    """A machine with that many GPUs, as far as decisions go."""

    def with_gpus(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)

    return with_gpus


@pytest.mark.parametrize(("text", "ids"), [("0", (0,)), ("0,1", (0, 1)), ("3,1,2", (3, 1, 2))])
def test_gpu_ids(text, ids):
    assert gpu_ids(text) == ids


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be the numbers of GPUs"),
        ("0,", "must be the numbers of GPUs"),
        ("all", "must be the numbers of GPUs"),
        ("1,0,1", "names a GPU twice"),
        ("0,-1", "numbered from 0"),
    ],
)
def test_gpu_ids_that_make_no_sense(text, reason):
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        gpu_ids(text)


@pytest.mark.parametrize(
    ("gpus", "device"),
    [
        (None, "auto"),
        ((0,), "auto"),
        ((0,), "cpu"),
        (None, "cpu"),
        (None, "cuda"),
        ((0, 1), "cuda"),
        ((0, 1), "cuda:1"),
    ],
)
def test_without_cuda_one_process_does_what_one_can(machine, gpus, device):
    machine(0)
    assert plan_ranks(gpus, device) is None


def test_without_cuda_several_gpus_become_processes_that_share_the_cores(machine, monkeypatch):
    machine(0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(7)), raising=False)
    plan = plan_ranks((2, 0, 1), "auto")
    assert (plan.processes, plan.environment) == (3, {"OMP_NUM_THREADS": "2"})
    assert plan.remark.startswith("warning: --gpu 2,0,1 was given but there is no CUDA device; running 3 processes")
    assert plan_ranks((2, 0, 1), "cpu").remark is None
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert plan_ranks((2, 0, 1), "cpu").environment == {"OMP_NUM_THREADS": "5"}


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_every_gpu_gets_a_process_unless_some_are_chosen(machine, device):
    machine(3)
    plan = plan_ranks(None, device)
    assert (plan.processes, plan.environment["CUDA_VISIBLE_DEVICES"]) == (3, "0,1,2")
    assert "all 3 GPUs" in plan.remark
    plan = plan_ranks((2, 0), device)
    assert (plan.processes, plan.environment["CUDA_VISIBLE_DEVICES"], plan.remark) == (2, "2,0", None)
    assert plan_ranks((1,), device) is None


def test_chosen_gpus_are_among_those_that_are_visible(machine, monkeypatch):
    machine(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6, 4,GPU-1b")
    assert plan_ranks((2, 0), "auto").environment["CUDA_VISIBLE_DEVICES"] == "GPU-1b,6"
    assert plan_ranks(None, "auto").environment["CUDA_VISIBLE_DEVICES"] == "6,4,GPU-1b"


@pytest.mark.parametrize(("gpus", "device"), [(None, "cuda:1"), ((0, 1), "cuda:1"), (None, "cpu"), (None, "mps")])
def test_one_named_device_is_one_process(machine, gpus, device):
    machine(2)
    assert plan_ranks(gpus, device) is None


def test_one_gpu_alone_is_one_process(machine):
    machine(1)
    assert plan_ranks(None, "auto") is None


def test_a_gpu_that_does_not_exist(machine):
    machine(2)
    with pytest.raises(UserError, match=r"--gpu 0,2: this machine has 2 GPU\(s\), numbered from 0"):
        plan_ranks((0, 2), "auto")
    with pytest.raises(UserError, match=r"--gpu 2: this machine has 2 CUDA device"):
        choose_device("auto", gpu=(2,))


def test_under_torchrun_nothing_is_started(machine, monkeypatch):
    machine(2)
    monkeypatch.setenv("RANK", "0")
    assert relaunch((0, 1), "auto") is None
    assert relaunch(None, "auto") is None


@pytest.mark.parametrize(
    ("name", "gpu", "local_rank", "launched", "index"),
    [
        ("auto", None, 0, False, 0),
        ("auto", 2, 0, False, 2),
        ("auto", (2,), 0, False, 2),
        ("cuda", (2,), 0, False, 2),
        ("auto", None, 1, True, 1),
        # a rank of ours sees the chosen GPUs alone, one of torchrun sees them all
        ("auto", (3, 2), 1, True, 1),
        ("auto", (3, 2), 1, False, 2),
        ("cuda:1", (3,), 0, False, 1),
    ],
)
def test_the_device_of_a_process(machine, monkeypatch, name, gpu, local_rank, launched, index):
    machine(4)
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    if launched:
        monkeypatch.setenv(failures.FOLDER, "folder")
    assert choose_device(name, gpu=gpu) == torch.device("cuda", index)


def test_fewer_gpus_than_processes(machine, monkeypatch):
    machine(4)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match="--gpu 3: no GPU for process 2 of this machine"):
        choose_device("auto", gpu=3)


@pytest.mark.parametrize(("rank", "launched", "warns"), [("0", False, True), ("1", False, False), ("0", True, False)])
def test_a_gpu_on_a_machine_without_one_is_warned_of_once(machine, monkeypatch, capsys, rank, launched, warns):
    machine(0)
    monkeypatch.setenv("RANK", rank)
    if launched:
        monkeypatch.setenv(failures.FOLDER, "folder")
    assert choose_device("auto", gpu=(0, 1)) == torch.device("cpu")
    assert ("warning: --gpu 0,1 was given but there is no CUDA device" in capsys.readouterr().err) == warns


def test_two_ranks_meet_and_see_the_command_line(script, tmp_path, monkeypatch):
    monkeypatch.setenv("LONGTAIL_ADDOPTS", "--more 'two words'")
    done = subprocess.run([sys.executable, str(script), "meet", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert seen == [rank, rank, 2, 3.0, [str(tmp_path), "--more", "two words"], str(max(1, cores // 2))]


def test_ctrl_c_ends_all_ranks_of_a_module(script, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(script.parent), *sys.path]))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", script.stem, "wait"], text=True, **pipes) as process:
        try:
            ranks = [int(process.stdout.readline()) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=120)
        finally:
            process.terminate()
    assert (process.returncode, said) == (130, "")
    for rank in ranks:
        with pytest.raises(ProcessLookupError):
            os.kill(rank, 0)


def test_a_mistake_that_all_ranks_find_is_said_once(script, monkeypatch, capfd):
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), "mistake"])
    before = dict(os.environ), [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(UserError) as error:
        relaunch((0, 1), "cpu")
    assert str(error.value) == "no such folder"
    assert capfd.readouterr() == ("", "")
    assert before == (dict(os.environ), [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)])


def test_a_bug_shows_one_traceback(script, monkeypatch, capfd):
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), "bug"])
    assert relaunch((0, 1), "cpu") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("Traceback") == 1
    assert err.endswith("ZeroDivisionError: by naught\n")


def test_the_first_failure_explains_the_others(capsys):
    mistake, bug = Failure(0, True, "no such folder"), Failure(1, False, "lost the others\n")
    with pytest.raises(UserError, match=r"^no such folder$"):
        _explain([mistake, bug, Failure(2, True, "no such folder")], {0: 2, 1: 1})
    with pytest.raises(UserError, match=r"^no such folder\nno such file$"):
        _explain([mistake, Failure(2, True, "no such file")], {0: 2, 2: 2})
    assert _explain([bug, mistake], {0: 2, 1: 1}) == 1
    assert capsys.readouterr().err == "rank 1 failed:\nlost the others\n"


@pytest.mark.parametrize(
    ("codes", "code", "line"),
    [
        ({0: -signal.SIGTERM, 1: -signal.SIGKILL}, 137, "rank 1 was killed by SIGKILL\n"),
        ({0: -signal.SIGTERM, 1: 3}, 3, ""),
        ({0: 130, 1: 130}, 130, ""),
        ({0: -signal.SIGTERM}, 143, ""),
    ],
)
def test_ends_without_a_word(codes, code, line, capsys):
    assert _explain([], codes) == code
    assert capsys.readouterr().err == line


def test_failures_are_read_in_the_order_of_time(tmp_path, monkeypatch):
    monkeypatch.setenv(failures.FOLDER, str(tmp_path))
    for rank, error in ((3, UserError("first")), (1, ValueError("second")), (2, UserError("third"))):
        monkeypatch.setenv("RANK", str(rank))
        assert failures.leave(error)
    (tmp_path / "unfinished").touch()
    (tmp_path / "torch").mkdir()
    first, second, third = failures.read(tmp_path)
    assert (first, third) == (Failure(3, True, "first"), Failure(2, True, "third"))
    assert (second.rank, second.is_mistake) == (1, False)
    assert second.text.endswith("ValueError: second\n")


@pytest.mark.parametrize("folder", [None, "gone"])
def test_where_nobody_listens_a_failure_is_said_here(folder, tmp_path, monkeypatch, capsys):
    if folder is not None:
        monkeypatch.setenv(failures.FOLDER, str(tmp_path / folder))

    def main(_argv):
        raise UserError("no such folder")

    with pytest.raises(SystemExit) as stop:
        run_command(main, [])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("error: no such folder\n")
