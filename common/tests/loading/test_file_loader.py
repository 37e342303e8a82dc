"""What is peculiar to the loader of files: other processes, files that cannot be read, and what happens when things break."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from loader_kinds import LABELS, MEAN, RANDOMNESS, SIDE, STD, Kind, N, assert_same, in_files, in_memory, joined
from PIL import Image
from pillow_reference import varied_images
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

import longtail
from longtail.datasets.base import FileImages, ImageData
from longtail.datasets.decode import read_image
from longtail.errors import UserError
from longtail.loading import ClassWeighted, Framed, Paired, Sequential, Shuffled, create_loader, reading, transfer
from longtail.loading.files import FileLoader
from longtail.loading.framing import CentreCrop
from longtail.loading.geometry import HorizontalFlip, RandomCrop


@pytest.fixture(scope="module")
def kind(tmp_path_factory) -> Kind:
    return in_files(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = {child.pid for child in active_children()}
    yield
    gc.collect()
    assert {child.pid for child in active_children()} <= before


@pytest.fixture
def soon(monkeypatch) -> None:
    """The death of a process is noticed after a tenth of a second, not after five."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


def write(folder: Path, **pictures: Image.Image | bytes) -> ImageData:
    """A data set of these files, each in a class with its name."""
    for name, picture in pictures.items():
        if isinstance(picture, bytes):
            (folder / name).write_bytes(picture)
        else:
            picture.save(folder / name, format="PNG")
    return ImageData(FileImages(folder, tuple(pictures)), np.arange(len(pictures)), tuple(pictures))


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(varied_images(1, height, width, seed)[0].numpy())


# processes


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("on_host", [True, False])
def test_the_number_of_processes_changes_nothing(kind, workers, on_host, monkeypatch):
    expected = kind.reference
    monkeypatch.setattr(transfer, "on_host", lambda _: on_host)
    loader = kind.loader(20, workers=workers)
    for epoch in (0, 1):
        assert_same(joined(loader.epoch(epoch)), expected[epoch])
    if workers == 4:
        ranks = [kind.loader(20, workers=1, rank=rank, world_size=2).epoch(0) for rank in range(2)]
        assert_same(joined(itertools.chain.from_iterable(zip(*ranks, strict=True))), expected[0])


def test_processes_stay_for_the_next_epoch_and_go_with_the_loader(kind):
    loader = kind.loader(8, workers=2)
    assert list(loader.batches(0, ())) == []
    assert not active_children()
    list(loader.epoch(0))
    processes = {child.pid for child in active_children()}
    assert len(processes) == 2
    list(loader.epoch(1))
    assert {child.pid for child in active_children()} == processes
    del loader
    assert not active_children()


def test_an_epoch_that_was_left_does_not_disturb_the_next(kind):
    loader = kind.loader(4, workers=2)
    for _ in range(3):
        assert len(list(itertools.islice(loader.epoch(0), 2))) == 2
    interrupted = loader.epoch(0)
    first = next(interrupted)
    assert_same(joined(loader.epoch(1)), kind.reference[1])
    assert_same(joined([first, *interrupted]), kind.reference[0])


def test_only_what_is_needed_is_read(kind, monkeypatch):
    read = []

    def noted(path, *, upright):
        read.append(str(path.relative_to(kind.data.images.root)))
        return read_image(path, upright=upright)

    monkeypatch.setattr(reading, "read_image", noted)
    loader = kind.loader(8)
    (batch,) = loader.batches(0, (3,))
    assert read == [kind.data.images.paths[index] for index in batch.indices]
    read.clear()
    next(loader.epoch(0, first_step=5))
    assert len(read) == 1


def test_partners_come_from_processes_too(kind):
    def pairs(workers: int) -> list:
        order = ClassWeighted(LABELS, kind.data.class_counts, 1.0, RANDOMNESS)
        main, partner = kind.loader(8, workers=workers), kind.loader(8, workers=workers, order=order, stream="partner")
        return list(Paired(main, partner, lambda _, step: step % 2 == 1).epoch(0))

    for here, there in zip(pairs(0), pairs(1), strict=True):
        assert_same(here[:3], there[:3])
        assert (here.partner is None) == (there.partner is None)
        if here.partner is not None:
            assert_same(here.partner[:3], there.partner[:3])


def test_processes_carry_no_part_of_the_data_set(kind):
    loader = kind.loader(8)
    assert len(pickle.dumps(loader._processes._reading)) < 1000
    plan = loader._planned(0)
    tasks = list(loader._tasks(plan, [slice(0, 20)], []))
    assert [len(task.paths) for task in tasks] == [8, 8, 4]
    assert all(len(pickle.dumps(task)) < 10_000 for task in tasks)


def test_the_rest_of_the_process_is_left_as_it_was(kind):
    handler, state = signal.getsignal(signal.SIGCHLD), torch.get_rng_state()
    list(kind.loader(8, workers=1).epoch(0))
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert torch.equal(torch.get_rng_state(), state)


# pictures


def test_evaluation_is_torchvisions(kind):
    size = 32
    loader = kind.loader(8, augmentation=None, randomness=None, image_size=size, order=Sequential(N))
    images, *_ = joined(loader.epoch(0))
    transform = Compose([Resize(round(size * 256 / 224)), CenterCrop(size), ToTensor(), Normalize(MEAN, STD)])
    expected = torch.stack([transform(Image.open(kind.data.images.root / path)) for path in kind.data.images.paths])
    assert (images - expected).abs().max() < 1.01 / 255 / min(STD)


def test_grey_and_tiny_pictures(tmp_path):
    dot = Image.new("RGB", (1, 1), (10, 200, 30))
    data = write(tmp_path, grey=noise(9, 7).convert("L"), dot=dot, line=Image.new("L", (50, 1), 77))
    loader = create_loader(data, Sequential(3), batch_size=3, image_size=8, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    grey, dots, line = loader.batch(0, 0).images
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    torch.testing.assert_close(dots[:, 0, 0], torch.tensor((10.0, 200.0, 30.0)))
    torch.testing.assert_close(line, torch.full((3, 8, 8), 77.0))


def test_pictures_are_turned_upright_where_the_data_set_says_so(tmp_path):
    picture, exif = noise(8, 8), Image.Exif()
    exif[0x0112] = 3
    picture.save(tmp_path / "turned.png", exif=exif)
    shown = []
    for upright in (False, True):
        data = ImageData(FileImages(tmp_path, ("turned.png",), upright), np.zeros(1, dtype=np.int64), ("a",))
        loader = FileLoader(data, Sequential(1), batch_size=1, image_size=8, augmentation=None, mean=MEAN, std=STD)
        shown.append(loader.batch(0, 0).images[0])
    assert not torch.equal(*shown)
    assert shown[0].shape == shown[1].shape == (3, 8, 8)


def test_images_are_read_from_the_files_that_they_are(tmp_path):
    (tmp_path / "val").mkdir()
    listed = write(tmp_path / "val", cat=noise(9, 9), dog=noise(9, 9, 1), eel=b"nonsense")
    flat = replace(listed, images=FileImages(tmp_path, ("val/a/cat", "val/b/dog", "val/c/eel"), flat="val"))
    ours, theirs = (
        FileLoader(data, Sequential(3), batch_size=1, image_size=8, augmentation=None, mean=MEAN, std=STD).epoch(0)
        for data in (flat, listed)
    )
    for _ in range(2):
        assert torch.equal(next(ours).images, next(theirs).images)
    with pytest.raises(UserError, match=rf"^{tmp_path}/val/eel \(class 'eel'\) cannot be read"):
        next(ours)


# what goes wrong


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_is_named(tmp_path, workers):
    data = write(tmp_path, cat=noise(9, 9), dog=b"nonsense", eel=noise(9, 9))
    (tmp_path / "eel").unlink()
    loader = create_loader(
        data, Sequential(3), batch_size=1, image_size=8, mean=MEAN, std=STD, augmentation=None, workers=workers
    )
    batches = loader.epoch(0)
    assert next(batches).indices.tolist() == [0]
    with pytest.raises(UserError) as caught:
        next(batches)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{tmp_path / 'dog'} (class 'dog') cannot be read: ")
    assert second == "--on-bad-image skip leaves such images out and corrects the class counts"
    with pytest.raises(UserError, match=r"eel \(class 'eel'\) cannot be read: No such file"):
        loader.batch(0, 2)
    assert loader.batch(0, 0).indices.tolist() == [0]


@pytest.mark.usefixtures("soon")
def test_a_process_that_is_killed_is_reported(kind):
    loader = kind.loader(8, workers=2)
    batches = loader.batches(0, (0, 1, 2, 3, 4, 5) * 5)
    next(batches)
    for child in active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"was killed, perhaps for want of memory: .*\nfewer --workers need less memory"):
        list(batches)
    assert_same(joined(loader.epoch(1)), kind.reference[1])


@pytest.mark.parametrize("error", [EOFError, ConnectionResetError, FileNotFoundError])
def test_what_a_killed_process_had_announced_is_not_waited_for(kind, error, monkeypatch):
    def lost(*_):
        raise error

    loader = kind.loader(8, workers=1)
    monkeypatch.setattr(torch.utils.data.dataloader._BaseDataLoaderIter, "__next__", lost)
    with pytest.raises(UserError, match="was killed"):
        next(loader.epoch(0))


@pytest.mark.usefixtures("soon")
def test_processes_that_died_between_epochs_are_reported(kind):
    loader = kind.loader(8, workers=1)
    list(loader.epoch(0))
    for child in active_children():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    with pytest.raises(UserError, match="was killed"):
        list(loader.epoch(1))


def test_processes_leave_it_to_the_main_one_to_stop(kind):
    batches = kind.loader(8, workers=2).epoch(0)
    seen = [next(batches), next(batches)]
    for child in active_children():
        os.kill(child.pid, signal.SIGTERM)
        os.kill(child.pid, signal.SIGINT)
    assert_same(joined([*seen, *batches]), kind.reference[0])


def test_too_little_shared_memory_is_reported(kind, monkeypatch):
    def refuse(_):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)\nmore")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    monkeypatch.setattr(reading, "get_worker_info", lambda: "in another process")
    with pytest.raises(UserError, match=r"too little shared memory .* \(28\)\nfewer --workers") as caught:
        next(kind.loader(8).epoch(0))
    assert "more\n" not in str(caught.value)


def test_programs_end_quietly_in_the_midst_of_an_epoch(kind, tmp_path):
    """One that `multiprocessing` started, as ranks may be, and the main one; both still hold their loaders."""
    program = f"""
        import multiprocessing
        import sys
        from pathlib import Path

        import numpy as np
        import torch

        from longtail.datasets.base import FileImages, ImageData
        from longtail.loading import Sequential, create_loader

        held = []

        def begin_epoch():
            torch.set_num_threads(1)
            images = FileImages(Path({str(kind.data.images.root)!r}), {kind.data.images.paths!r})
            data = ImageData(images, np.zeros({N}, np.int64), ("a",))
            options = {{"batch_size": 8, "image_size": 8, "mean": (0.5,) * 3, "std": (0.5,) * 3, "workers": 2}}
            loader = create_loader(data, Sequential({N}), **options)
            held.extend((loader, loader.epoch(0)))
            next(held[-1])

        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=begin_epoch)
            child.start()
            child.join()
            begin_epoch()
            sys.exit(child.exitcode)
    """
    script = tmp_path / "program.py"
    script.write_text(dedent(program))
    environment = os.environ | {"PYTHONPATH": str(Path(longtail.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": HorizontalFlip()}, "images in files have any size; their augmentation is Framed"),
        ({"augmentation": Framed(CentreCrop(8), RandomCrop(4))}, "keeps the size"),
        ({"augmentation": None, "image_size": None}, "need an augmentation, or an image_size"),
        ({"workers": -1}, "workers=-1"),
    ],
)
def test_what_does_not_fit_files_is_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind.loader(**options)


def test_images_in_memory_are_refused(tmp_path):
    with pytest.raises(ValueError, match="for images in files, not for ArrayImages"):
        FileLoader(in_memory(tmp_path).data, Shuffled(N, RANDOMNESS), batch_size=2, mean=MEAN, std=STD, image_size=SIDE)
