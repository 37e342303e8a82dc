import hashlib
import json
import logging
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.base import FileImages
from longtail.datasets.factory import create_data, fingerprint
from longtail.datasets.fake import write_fake
from longtail.datasets.fake_size import MARKER
from longtail.datasets.list_forms import LINES
from longtail.datasets.lists import load_list_data, missing_files
from longtail.datasets.published import LISTS, Extent
from longtail.errors import UserError

SMALL = {"num_classes": 6, "largest_class": 30, "test_per_class": 3}
TRAIN, TEST = "ImageNet_LT_train.txt", "ImageNet_LT_test.txt"
OF_LINES = [name for name, known in LISTS.items() if known.form is LINES]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working folder of its own: lists are looked for there."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Fake ImageNet-LT, to damage."""
    return write_fake("imagenet-lt", tmp_path / "data", **SMALL)


def as_published(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the marker away and declares these lists to be the published ones."""
    (root / MARKER).unlink()
    known = LISTS["imagenet-lt"]
    counts = {}
    for part, file in known.files.items():
        labels = [int(line.split()[1]) for line in (root / file).read_text().splitlines()]
        counts[part] = np.bincount(labels)
    digest = hashlib.sha256(",".join(map(str, counts["train"])).encode()).hexdigest()
    sizes = {part: Extent.of(of_part) for part, of_part in counts.items()}
    monkeypatch.setitem(LISTS, "imagenet-lt", replace(known, sizes=sizes, train_sha256=digest))


def edit(path: Path, change) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("imagenet-lt", [(115846, 1000, 5, 1280), (20000, 1000, 20, 20), (50000, 1000, 50, 50)]),
        ("places-lt", [(62500, 365, 5, 4980), (7300, 365, 20, 20), (36500, 365, 100, 100)]),
        ("inat18", [(437513, 8142, 2, 1000), (24426, 8142, 3, 3)]),
        ("inat18-json", [(437513, 8142, 2, 1000), (24426, 8142, 3, 3)]),
        ("imagenet-lt-csv", [(115846, 1000, 5, 1280)]),
    ],
)
def test_published_sizes(name, sizes):
    known = LISTS[name]
    found = [known.sizes[part] for part in known.files if part in known.sizes]
    assert [(each.images, each.num_classes, each.smallest, each.largest) for each in found] == sizes
    assert re.fullmatch(r"[0-9a-f]{64}", known.train_sha256)


@pytest.mark.parametrize("name", OF_LINES)
def test_what_comes_out(name, tmp_path):
    root = write_fake(name, tmp_path / "data", **SMALL)
    known = LISTS[name]
    data = load_list_data(name, root, with_val=True)
    assert (data.name, data.image_size, data.num_classes) == (name, 224, 6)
    assert (data.mean, data.std) == (known.mean, known.std)
    assert (data.val is None) == (name == "inat18")
    for name_of_part, file in known.files.items():
        part = getattr(data, name_of_part)
        assert isinstance(part.images, FileImages)
        assert (part.images.root, part.images.upright) == (root, False)
        lines = [f"{path} {label}" for path, label in zip(part.images.paths, part.labels.tolist(), strict=True)]
        assert lines == (root / file).read_text().splitlines()
    assert (data.class_counts.max(), data.class_counts.min()) == (30, 1)
    assert data.test.class_counts.tolist() == [3] * 6


def test_classes_are_called_as_the_publishers_do(tmp_path):
    names = {name: load_list_data(name, write_fake(name, tmp_path / name, **SMALL)).train.class_names for name in LISTS}
    assert names["imagenet-lt"] == tuple(f"n{10_000_000 + c}" for c in range(6))
    assert names["places-lt"] == tuple(f"scene_{c:03d}" for c in range(6))
    assert names["inat18"] == names["inat18-json"] == names["imagenet-lt-csv"] == tuple("012345")


def test_classes_in_one_folder_are_called_by_their_numbers(root, monkeypatch):
    as_published(root, monkeypatch)
    edit(root / TRAIN, lambda lines: [f"flat.jpg {line.split()[1]}" for line in lines])
    (root / "flat.jpg").touch()
    assert load_list_data("imagenet-lt", root).train.class_names == tuple("012345")


def test_validation_images_are_read_only_where_wanted(root):
    (root / "ImageNet_LT_val.txt").unlink()
    assert load_list_data("imagenet-lt", root).val is None
    with pytest.raises(UserError, match=r"ImageNet_LT_val\.txt is missing"):
        load_list_data("imagenet-lt", root, with_val=True)


def test_the_image_size_can_be_chosen(root):
    assert load_list_data("imagenet-lt", root, image_size=64).image_size == 64


def test_fake_data_are_announced_in_one_line(root, caplog):
    with caplog.at_level(logging.WARNING):
        load_list_data("imagenet-lt", root)
    assert caplog.messages == [f"{root}: generated fake data, not ImageNet-LT"]


def test_published_lists_are_not_announced(root, monkeypatch, caplog):
    as_published(root, monkeypatch)
    assert load_list_data("imagenet-lt", root).class_counts.sum() > 0
    assert not caplog.records


# --- Where lists are looked for


def test_lists_are_looked_for_in_the_working_folder_then_the_roots_folder_then_the_root(root, monkeypatch):
    as_published(root, monkeypatch)
    places = [Path("ImageNet_LT"), root / "ImageNet_LT"]
    for place in places:
        place.mkdir()
        for file in LISTS["imagenet-lt"].files.values():
            (place / file).write_text((root / file).read_text())
        # Which folder was read shows in the message about this line.
        edit(place / TRAIN, lambda lines: [*lines, "x.jpg 99"])
    edit(root / TRAIN, lambda lines: [*lines, "x.jpg 99"])
    for place in [*places, root]:
        with pytest.raises(UserError, match=rf"^{place / TRAIN}, line \d+: label 99"):
            load_list_data("imagenet-lt", root)
        (place / TRAIN).unlink()
    with pytest.raises(UserError, match="is in none of"):
        load_list_data("imagenet-lt", root)


def test_further_folders_come_first(root, monkeypatch):
    as_published(root, monkeypatch)
    places = [Path("data"), Path("data/ImageNet_LT"), Path("ImageNet_LT"), root]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for file in LISTS["imagenet-lt"].files.values():
            (place / file).write_text((root / file).read_text())
        edit(place / TRAIN, lambda lines: [*lines, "x.jpg 99"])
    for place in places:
        with pytest.raises(UserError, match=rf"^{place / TRAIN}, line \d+: label 99"):
            load_list_data("imagenet-lt", root, list_folders=["data", Path("data/ImageNet_LT")])
        (place / TRAIN).unlink()
    with pytest.raises(UserError) as caught:
        load_list_data("imagenet-lt", root, list_folders=["data", Path("data/ImageNet_LT")])
    first, second, _ = str(caught.value).splitlines()
    assert first.endswith(f"is in none of data/, data/ImageNet_LT/, ImageNet_LT/, {root}/ImageNet_LT/, {root}/.")
    assert second.startswith(f"Expected: {TRAIN}, ImageNet_LT_val.txt, {TEST} in data/, and below {root}/ the images")


def test_lists_without_a_folder_of_their_own_are_looked_for_in_further_ones(tmp_path):
    with pytest.raises(UserError, match=rf"train\.csv is in none of data/, {tmp_path}/\.\nExpected: .* in data/, and below"):
        load_list_data("imagenet-lt-csv", tmp_path, list_folders=["data"])


def test_fake_data_bring_their_own_lists(root):
    for folder in ("ImageNet_LT", "data"):
        Path(folder).mkdir()
        (Path(folder) / TRAIN).write_text("those of the real data")
    assert load_list_data("imagenet-lt", root, list_folders=["data"]).num_classes == 6


def test_the_factory_passes_further_folders_on(root):
    (root / MARKER).unlink()
    Path("data").mkdir()
    (Path("data") / TRAIN).write_text("")
    with pytest.raises(UserError, match=f"^data/{TRAIN} is empty"):
        create_data("imagenet-lt", root=root, list_folders=["data"])


@pytest.mark.parametrize("name", OF_LINES)
def test_missing_lists_are_told_with_what_to_do(name, tmp_path):
    with pytest.raises(UserError) as caught:
        load_list_data(name, tmp_path / "nowhere")
    known, text = LISTS[name], str(caught.value)
    folder = known.folder
    for told in (
        f"{known.files['train']} is in none of {folder}/, {tmp_path}/nowhere/{folder}/, {tmp_path}/nowhere/.",
        *known.files.values(),
        f"below {tmp_path}/nowhere/ the images, train",
        "come from their publishers",
        f"longtail data fake --layout {name} --out DIR",
    ):
        assert told in text
    assert len(text.splitlines()) == 3


def test_a_root_that_is_a_file_or_other_fake_data(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file"):
        load_list_data("imagenet-lt", tmp_path / "file")
    root = write_fake("places-lt", tmp_path / "places", **SMALL)
    with pytest.raises(UserError, match="holds fake data for places-lt, not for imagenet-lt"):
        load_list_data("imagenet-lt", root)


@pytest.mark.parametrize("marker", ["{", "[]", "{}", '{"layout": "imagenet-lt", "num_classes": "many"}'])
def test_a_damaged_marker_is_told(marker, root):
    (root / MARKER).write_text(marker)
    with pytest.raises(UserError, match=rf"{MARKER} is damaged; delete .* and generate the fake data again"):
        load_list_data("imagenet-lt", root)


# --- Lists that are not the published ones


def test_without_the_marker_fake_lists_are_refused(root):
    (root / MARKER).unlink()
    with pytest.raises(UserError) as caught:
        load_list_data("imagenet-lt", root)
    assert "does not agree with the published ImageNet_LT_train.txt" in str(caught.value)
    assert "expected 115846 images of 1000 classes, 5 to 1280 a class; found" in str(caught.value)
    assert "of 6 classes, 1 to 30 a class; class 6 has no image" in str(caught.value)


@pytest.mark.parametrize("file", [TRAIN, TEST])
@pytest.mark.parametrize("change", [lambda lines: lines[1:], lambda lines: [*lines, lines[0]]])
def test_fake_lists_must_agree_with_their_marker(file, change, root):
    edit(root / file, change)
    with pytest.raises(UserError, match=rf"{file} does not agree with {MARKER}: expected \d+ images of 6 .*; found \d+ images"):
        load_list_data("imagenet-lt", root)


def test_a_class_without_images_is_named(root):
    edit(root / TRAIN, lambda lines: [line for line in lines if not line.endswith(" 4")])
    with pytest.raises(UserError, match=r"; found \d+ images of 5 classes, .*; class 4 has no image$"):
        load_list_data("imagenet-lt", root)


def test_the_same_counts_for_other_classes_are_refused(root, monkeypatch):
    as_published(root, monkeypatch)
    swap = {"0": "1", "1": "0"}
    edit(root / TRAIN, lambda lines: [f"{path} {swap.get(c, c)}" for path, c in map(str.split, lines)])
    with pytest.raises(UserError, match="as many images, but not the same number in each class"):
        load_list_data("imagenet-lt", root)


# --- Bad lines


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "the line is blank"),
        (" \t", "the line is blank"),
        ("train/a.jpg", "expected one line `path label`, found 'train/a.jpg'"),
        ("train/a.jpg 6", r"label 6 is outside \[0, 6\)"),
        ("train/a.jpg -1", r"label -1 is outside \[0, 6\)"),
        ("train/a.jpg 99999999999999999999", r"label 9{20} is outside \[0, 6\)"),
        ("train/a.jpg 1.0", "the label '1.0' is not an integer"),
        ("train/a.jpg cat", "the label 'cat' is not an integer"),
        ("train/a.jpg,3 x", "the label 'x' is not an integer"),
        ("train/a.jpg 1_0", "the label '1_0' is not an integer"),
        ("/etc/a.jpg 0", "the path '/etc/a.jpg' is not below the data root"),
        ("train/../../a.jpg 0", "the path 'train/../../a.jpg' is not below the data root"),
        ("train/a\0.jpg 0", r"the path 'train/a\\x00.jpg' is not below the data root"),
    ],
)
@pytest.mark.parametrize(("file", "number"), [(TRAIN, 1), (TRAIN, 7), (TEST, 2)])
def test_bad_lines_are_told_with_file_and_number(bad, reason, file, number, root):
    edit(root / file, lambda lines: [*lines[: number - 1], bad, *lines[number - 1 :], "worse", ""])
    with pytest.raises(UserError, match=rf"^{root / file}, line {number}: {reason}"):
        load_list_data("imagenet-lt", root)


@pytest.mark.parametrize("content", ["", "\n", " \n\n"])
def test_an_empty_list_is_told(content, root):
    (root / TRAIN).write_text(content)
    with pytest.raises(UserError, match=rf"{TRAIN} is empty; a list has one line `path label` for each image"):
        load_list_data("imagenet-lt", root)


def test_a_list_that_is_no_text_is_told(root):
    (root / TRAIN).write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=rf"cannot read the list .*{TRAIN}"):
        load_list_data("imagenet-lt", root)


PATHS = st.from_regex(r"[a-z.]{1,3}( ?[a-z]){0,4}(/[A-Za-z0-9_]{1,6}){0,2}\.jpg", fullmatch=True)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(PATHS, st.integers(0, 9)), min_size=1),
    st.sampled_from([" ", "\t", "   "]),
    st.sampled_from(["\n", "\r\n", " \n"]),
    st.sampled_from(["", "\n", "\n\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_lists_are_read_however_their_lines_end(tmp_path_factory, samples, between, end, last, first):
    path = tmp_path_factory.getbasetemp() / "list.txt"
    path.write_bytes((first + end.join(f"{name}{between}{label}" for name, label in samples) + last).encode())
    read = LINES.read(path, 10)
    assert list(zip(read.paths, read.labels.tolist(), strict=True)) == samples
    assert read.labels.dtype == np.int64


# --- Missing images


def test_missing_images_are_counted_and_the_first_is_named(root):
    paths = Counter(line.split()[0] for line in (root / TRAIN).read_text().splitlines())
    gone = list(paths)[3:5]
    for path in gone:
        (root / path).unlink()
    line = 1 + next(i for i, text in enumerate((root / TRAIN).read_text().splitlines()) if text.split()[0] in gone)
    with pytest.raises(UserError) as caught:
        load_list_data("imagenet-lt", root)
    first = str(caught.value).splitlines()[0]
    assert first == (
        f"{root / TRAIN}, line {line}: there is no {root / gone[0]}; 2 of the {len(paths)} images in this list are missing."
    )
    data = load_list_data("imagenet-lt", root, check_files=())
    assert len(data.train) == paths.total()


def test_a_wrong_root_misses_all_images(root, monkeypatch, tmp_path):
    as_published(root, monkeypatch)
    (root / "train").rename(tmp_path / "train")
    with pytest.raises(UserError, match=r"line 1: there is no .*; (\d+) of the \1 images in this list are missing"):
        load_list_data("imagenet-lt", root)


def test_missing_files_are_found_by_listing_folders(tmp_path, monkeypatch):
    for path in ("a/1.jpg", "a/2.jpg", "b c/deep/3.jpg", "4.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: (listed.append(folder), listdir(folder))[1])
    there = ["a/1.jpg", "a/2.jpg", "b c/deep/3.jpg", "4.jpg", "a/1.jpg"]
    absent = ["a/3.jpg", "none/1.jpg", "4.jpg/5.jpg", "6.jpg"]
    assert missing_files(tmp_path, [*there, *absent, *there]) == set(absent)
    assert len(listed) == len(set(listed)) == 5


def test_a_folder_that_may_not_be_listed_is_told(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(UserError, match=r"cannot list .*train: Permission denied"):
        missing_files(tmp_path, ["train/a.jpg"])


# --- Validation images without class folders


def flatten(root: Path) -> None:
    """Moves the validation images out of their class folders."""
    for folder in sorted((root / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(root / "val" / path.name)
        folder.rmdir()


@pytest.mark.parametrize("name", ["imagenet-lt", "imagenet-lt-csv"])
def test_validation_images_may_lie_flat(name, tmp_path):
    root = write_fake(name, tmp_path / "data", **SMALL)
    sorted_, named = load_list_data(name, root), fingerprint(load_list_data(name, root))
    pictures = [(root / file).read_bytes() for file in sorted_.test.images.files]
    assert sorted_.test.images.files == sorted_.test.images.paths

    flatten(root)
    flat = load_list_data(name, root)
    assert flat.test.images.files == tuple(f"val/{path.split('/')[2]}" for path in sorted_.test.images.paths)
    assert flat.test.images.paths == sorted_.test.images.paths
    assert [(root / file).read_bytes() for file in flat.test.images.files] == pictures
    assert flat.test.subset([4, 1]).images.files == tuple(flat.test.images.files[index] for index in (4, 1))
    assert flat.train.images.files == sorted_.train.images.paths
    assert flat.train.class_names == sorted_.train.class_names
    assert fingerprint(flat) == named


def test_the_papers_list_entries_and_the_files_they_stand_for(root, monkeypatch):
    official = "val/n01440764/ILSVRC2012_val_00029930.JPEG"
    as_published(root, monkeypatch)
    edit(root / TEST, lambda lines: [f"{official} {lines[0].split()[1]}", *lines[1:]])
    flatten(root)
    (root / "val/ILSVRC2012_val_00029930.JPEG").touch()
    data = load_list_data("imagenet-lt", root)
    assert (data.test.images.paths[0], data.test.images.files[0]) == (official, "val/ILSVRC2012_val_00029930.JPEG")


def test_where_they_lie_is_decided_for_all_at_once(root):
    paths = load_list_data("imagenet-lt", root).test.images.paths
    for path in paths[:-1]:
        (root / "val" / path.split("/")[2]).write_bytes((root / path).read_bytes())
    assert load_list_data("imagenet-lt", root).test.images.files == paths
    (root / paths[1]).unlink()
    with pytest.raises(UserError, match=rf"line 2: there is no {root / paths[1]}; 1 of the {len(paths)} images"):
        load_list_data("imagenet-lt", root)


def test_missing_ones_are_told_where_the_others_lie(root):
    paths = load_list_data("imagenet-lt", root).test.images.paths
    flatten(root)
    gone = root / "val" / paths[0].split("/")[2]
    gone.unlink()
    with pytest.raises(UserError, match=rf"line 1: there is no {gone}; 1 of the {len(paths)} images"):
        load_list_data("imagenet-lt", root)
    assert load_list_data("imagenet-lt", root, check_files=()).test.images.files[1] == f"val/{paths[1].split('/')[2]}"


def test_without_any_of_them_the_lists_word_stands(root):
    paths = load_list_data("imagenet-lt", root).test.images.paths
    flatten(root)
    (root / "val").rename(root / "elsewhere")
    for has_folder in (False, True):
        if has_folder:
            (root / "val").mkdir()
        with pytest.raises(UserError, match=rf"line 1: there is no {root / paths[0]}; (\d+) of the \1 images"):
            load_list_data("imagenet-lt", root)


def test_other_data_sets_have_no_flat_images(tmp_path):
    root = write_fake("places-lt", tmp_path / "data", **SMALL)
    flatten(root)
    with pytest.raises(UserError, match=r"there is no .*/val/scene_000/"):
        load_list_data("places-lt", root)


def test_the_marker_of_older_fake_data_is_enough(root):
    marker = json.loads((root / MARKER).read_text())
    assert marker["md5"] == {}, "lists are compared with the sizes that the marker states"
    (root / MARKER).write_text(json.dumps({key: marker[key] for key in ("layout", *SMALL)}))
    assert load_list_data("imagenet-lt", root).num_classes == 6
