"""The lists that LCSL reads: ImageNet-LT by CSV files, iNaturalist 2018 by the competition's JSON files."""

import csv
import hashlib
import io
import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.datasets.fake import write_fake
from longtail.datasets.fake_size import MARKER
from longtail.datasets.list_forms import IMAGES, ROWS
from longtail.datasets.lists import load_list_data
from longtail.datasets.published import LISTS, Extent
from longtail.errors import UserError

SMALL = {"num_classes": 6, "largest_class": 30, "test_per_class": 3}


@pytest.fixture
def of_rows(tmp_path: Path) -> Path:
    """Fake ImageNet-LT with CSV files, to damage."""
    return write_fake("imagenet-lt-csv", tmp_path / "csv", **SMALL)


@pytest.fixture
def of_json(tmp_path: Path) -> Path:
    """Fake iNaturalist with JSON files, to damage."""
    return write_fake("inat18-json", tmp_path / "json", **SMALL)


def as_real(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the marker away and declares these lists to be the published ones."""
    (root / MARKER).unlink()
    known = LISTS[name]
    counts = {part: np.bincount(known.form.read(root / file, 6).labels) for part, file in known.files.items()}
    digest = hashlib.sha256(",".join(map(str, counts["train"])).encode()).hexdigest()
    sizes = {part: Extent.of(counts[part]) for part in known.sizes}
    monkeypatch.setitem(LISTS, name, replace(known, sizes=sizes, train_sha256=digest))


def edit_rows(file: Path, change) -> None:
    file.write_text("\n".join(change(file.read_text().splitlines())))


def edit_json(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


# --- What comes out


def test_rows_become_paths_and_labels(of_rows):
    data = load_list_data("imagenet-lt-csv", of_rows, with_val=True)
    assert (data.name, data.image_size, data.num_classes, data.val) == ("imagenet-lt-csv", 224, 6, None)
    assert (data.mean, data.std) == (LISTS["imagenet-lt"].mean, LISTS["imagenet-lt"].std)
    assert (data.class_counts.max(), data.class_counts.min(), data.test.class_counts.tolist()) == (30, 1, [3] * 6)
    for part, file in ((data.train, "train.csv"), (data.test, "val.csv")):
        assert part.images.root == of_rows
        rows = list(csv.reader((of_rows / file).open(newline="")))
        assert list(part.images.paths) == [f"{folder}/{label}/{image}" for folder, label, image in rows]
        assert part.labels.tolist() == [int(label) for _, label, _ in rows]


def test_json_images_become_paths_and_labels(of_json):
    data = load_list_data("inat18-json", of_json, with_val=True)
    assert (data.name, data.num_classes, data.val) == ("inat18-json", 6, None)
    assert (data.mean, data.std) == ((0.466, 0.471, 0.380), (0.195, 0.194, 0.192))
    for part, file in ((data.train, "train2018.json"), (data.test, "val2018.json")):
        content = json.loads((of_json / file).read_text())
        assert list(part.images.paths) == [image["file_name"] for image in content["images"]]
        assert part.labels.tolist() == [each["category_id"] for each in content["annotations"]]


def test_both_forms_of_inaturalist_are_the_same_data(of_json, tmp_path):
    one = load_list_data("inat18-json", of_json)
    other = load_list_data("inat18", write_fake("inat18", tmp_path / "lines", **SMALL))
    assert one.train.images.paths == other.train.images.paths
    assert one.test.images.paths == other.test.images.paths
    np.testing.assert_array_equal(one.train.labels, other.train.labels)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/."), min_size=1, max_size=6)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(NAMES, st.integers(0, 9), NAMES, st.lists(NAMES, max_size=2), st.booleans()), min_size=1),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["", "\ufeff"]),
)
def test_rows_are_read_as_they_are_written(tmp_path_factory, samples, end, quoting, first):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    lines, line = [], 0
    for folder, label, name, others, blank_after in samples:
        writer.writerow([folder, label, name, *others])
        text.write(end * blank_after)
        lines.append(line := line + 1)
        line += blank_after
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes((first + text.getvalue()).encode())
    read = ROWS.read(path, 10)
    assert list(read.paths) == [f"{folder}/{label}/{name}" for folder, label, name, _, _ in samples]
    assert read.labels.tolist() == [label for _, label, _, _, _ in samples]
    assert [read.places[image] for image in range(len(samples))] == [f"line {number}" for number in lines]


def test_annotations_are_not_read(of_json):
    before = load_list_data("inat18-json", of_json)
    for file in ("train2018.json", "val2018.json"):
        edit_json(of_json / file, lambda content: content.pop("annotations"))
    assert load_list_data("inat18-json", of_json).train.images.paths == before.train.images.paths


# --- Missing lists and images


@pytest.mark.parametrize("name", ["imagenet-lt-csv", "inat18-json"])
def test_missing_lists_are_told_with_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(write_fake(name, tmp_path / "work", **SMALL))
    nowhere = tmp_path / "nowhere"
    with pytest.raises(UserError) as caught:
        load_list_data(name, nowhere)
    train, test = LISTS[name].files.values()
    first, second, third = str(caught.value).splitlines()
    assert first == f"{LISTS[name].title}: {train} is not in {nowhere}/."
    assert second.startswith(f"Expected: {train}, {test} in {nowhere}/, and below {nowhere}/ the images, {LISTS[name].images}.")
    assert third == f"To rehearse on fake data: longtail data fake --layout {name} --out DIR"


def test_a_missing_image_is_told_with_its_line(of_rows):
    lines = (of_rows / "train.csv").read_text().splitlines()
    gone = lines[4].replace(",", "/")
    (of_rows / gone).unlink()
    first = next(number for number, line in enumerate(lines, start=1) if line.replace(",", "/") == gone)
    edit_rows(of_rows / "train.csv", lambda lines: ["", *lines])
    with pytest.raises(UserError, match=rf"train\.csv, line {first + 1}: there is no {of_rows / gone}; 1 of the"):
        load_list_data("imagenet-lt-csv", of_rows)


def test_a_missing_image_is_told_with_its_entry(of_json):
    images = [image["file_name"] for image in json.loads((of_json / "train2018.json").read_text())["images"]]
    (of_json / images[-1]).unlink()
    first = images.index(images[-1])
    with pytest.raises(UserError, match=rf"train2018\.json, images\[{first}\]: there is no {of_json / images[-1]}; 1 of the"):
        load_list_data("inat18-json", of_json)


# --- Malformed lists


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("train,3", "expected one line `split_folder,class_index,file_name`, found 'train,3'"),
        ("train,,a.jpg", "expected one line `split_folder,class_index,file_name`, found 'train,,a.jpg'"),
        (",3,a.jpg", "expected one line `split_folder,class_index,file_name`, found ',3,a.jpg'"),
        ("train/a.jpg 3", "expected one line `split_folder,class_index,file_name`, found 'train/a.jpg 3'"),
        ("folder,class,file", "the label 'class' is not an integer"),
        ("train, 3,a.jpg", "the label ' 3' is not an integer"),
        ("train,6,a.jpg", r"label 6 is outside \[0, 6\)"),
        ("train,-1,a.jpg", r"label -1 is outside \[0, 6\)"),
        ("..,3,a.jpg", r"the path '../3/a.jpg' is not below the data root"),
        ("train,3,../../../a.jpg", r"the path 'train/3/../../../a.jpg' is not below the data root"),
        ("/etc,3,a.jpg", r"the path '/etc/3/a.jpg' is not below the data root"),
    ],
)
def test_bad_rows_are_told_with_file_and_line(bad, reason, of_rows):
    edit_rows(of_rows / "train.csv", lambda lines: [*lines[:2], "", "  ", bad, *lines[2:], "worse"])
    with pytest.raises(UserError, match=rf"^{of_rows}/train\.csv, line 5: {reason}$"):
        load_list_data("imagenet-lt-csv", of_rows)


def test_a_quotation_mark_that_nothing_closes_is_told_with_its_line(of_rows):
    edit_rows(of_rows / "val.csv", lambda lines: [*lines[:3], 'val,3,"a.jpg', *lines[3:]])
    with pytest.raises(UserError, match=rf"^cannot read the list {of_rows}/val\.csv: line 4: "):
        load_list_data("imagenet-lt-csv", of_rows)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": 1}, "it has no `file_name`"),
        ({"file_name": 3}, "it has no `file_name`"),
        ({"images": []}, "it has no `file_name`"),
        ("train_val2018/Aves/3/a.jpg", "it has no `file_name`"),
        (None, "it has no `file_name`"),
        ({"file_name": ""}, "expected one `file_name` FOLDER/LABEL/NAME, found ''"),
        ({"file_name": "a.jpg"}, "expected one `file_name` FOLDER/LABEL/NAME, found 'a.jpg'"),
        ({"file_name": "Aves/a.jpg"}, "the label 'Aves' is not an integer"),
        ({"file_name": "Aves/6/a.jpg"}, r"label 6 is outside \[0, 6\)"),
        ({"file_name": "/Aves/3/a.jpg"}, "the path '/Aves/3/a.jpg' is not below the data root"),
        ({"file_name": "../3/a.jpg"}, "the path '../3/a.jpg' is not below the data root"),
        ({"file_name": "Aves/3/\0.jpg"}, r"the path 'Aves/3/\\x00.jpg' is not below the data root"),
    ],
)
def test_bad_entries_are_told_with_file_and_place(bad, reason, of_json):
    edit_json(of_json / "val2018.json", lambda content: content["images"].insert(4, bad))
    with pytest.raises(UserError, match=rf"^{of_json}/val2018\.json, images\[4\]: {reason}$"):
        load_list_data("inat18-json", of_json)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot read the list .*line 1 column 2"),
        ("[]", "cannot read the list .*it has no list `images`"),
        ("{}", "cannot read the list .*it has no list `images`"),
        ('{"images": {}}', "cannot read the list .*it has no list `images`"),
        ('{"images": []}', "is empty; a list has one `file_name` FOLDER/LABEL/NAME for each image"),
        (b"\x89PNG\xff\xfe", "cannot read the list"),
    ],
)
def test_other_json_is_told(content, reason, tmp_path):
    path = tmp_path / "train2018.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=reason):
        IMAGES.read(path, 6)


@pytest.mark.parametrize("content", ["", "\n", " \n\r\n"])
def test_an_empty_table_is_told(content, tmp_path):
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(UserError, match=r"is empty; a list has one line `split_folder,class_index,file_name` for each image"):
        ROWS.read(tmp_path / "train.csv", 6)


# --- Lists that are not the published ones


def test_json_files_are_held_to_the_published_sizes(of_json, monkeypatch, caplog):
    as_real("inat18-json", of_json, monkeypatch)
    load_list_data("inat18-json", of_json)
    assert not caplog.records
    edit_json(of_json / "val2018.json", lambda content: content["images"].pop())
    with pytest.raises(UserError, match=r"does not agree with the published val2018\.json: expected 18 images"):
        load_list_data("inat18-json", of_json)


def test_published_counts_in_rows_pass_without_a_word_whatever_the_test_list_holds(of_rows, monkeypatch, caplog):
    as_real("imagenet-lt-csv", of_rows, monkeypatch)
    assert load_list_data("imagenet-lt-csv", of_rows).test.class_counts.tolist() == [3] * 6
    edit_rows(of_rows / "val.csv", lambda lines: lines[:7])
    assert load_list_data("imagenet-lt-csv", of_rows).test.class_counts.tolist() == [3, 3, 1, 0, 0, 0]
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[:-1], r"expected \d+ images of 6 classes, 1 to 30 a class; found \d+ images of 6 classes"),
        (
            lambda lines: [line.translate(str.maketrans("0123", "1032")) for line in lines],
            "as many images, but not the same number in each class",
        ),
    ],
)
def test_other_counts_in_rows_are_told_in_one_line(change, reason, of_rows, monkeypatch, caplog):
    edit_rows(of_rows / "train.csv", lambda lines: [*lines, lines[-1], lines[-1]])  # so that all may lose one
    as_real("imagenet-lt-csv", of_rows, monkeypatch)
    edit_rows(of_rows / "train.csv", change)
    with caplog.at_level(logging.WARNING):
        data = load_list_data("imagenet-lt-csv", of_rows, check_files=("test",))
    assert len(data.train) > 0
    (message,) = caplog.messages
    assert message.startswith(f"{of_rows}/train.csv does not agree with the published ImageNet-LT: ")
    assert message.endswith(". Results are not comparable with published ones")
    assert re.search(reason, message)


def test_a_class_without_a_training_row_is_named(of_rows, monkeypatch):
    as_real("imagenet-lt-csv", of_rows, monkeypatch)
    edit_rows(of_rows / "train.csv", lambda lines: [line for line in lines if ",4," not in line])
    with pytest.raises(UserError, match=r"train\.csv: class 4 has no image; every class needs one to train on"):
        load_list_data("imagenet-lt-csv", of_rows)


@pytest.mark.parametrize("file", ["train.csv", "val.csv"])
def test_fake_rows_must_agree_with_their_marker(file, of_rows):
    edit_rows(of_rows / file, lambda lines: lines[1:])
    with pytest.raises(UserError, match=rf"{file} does not agree with {MARKER}: expected \d+ images of 6 .*; found \d+ images"):
        load_list_data("imagenet-lt-csv", of_rows)
