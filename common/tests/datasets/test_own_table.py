"""Tables of somebody's own: columns, delimiters, paths, labels, splits."""

import errno
import logging
from pathlib import Path

import pytest

from longtail.datasets.own import find_own, load_own
from longtail.datasets.own_table import gather_table
from longtail.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg", "a, b.jpg", "with space.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


IMAGES = [("cat/1.jpg", "x"), ("cat/2.jpg", "x"), ("dog/1.jpg", "y"), ("dog/2.jpg", "y")]
PLAIN = "path,label\ncat/1.jpg,x\ncat/2.jpg,x\ndog/1.jpg,y\ndog/2.jpg,y\n"


@pytest.mark.parametrize(
    "header",
    [
        "path,label",
        "Path,Label",
        "file_name,class",
        "image,target",
        "img,category",
        "File Path,class_name",
        "filename,labels",
        "image_id,species",
        '"Image File","Ground Truth"',
    ],
)
def test_columns_go_by_many_names(header, folder):
    assert gather_table(write(folder, PLAIN.replace("path,label", header))).parts == {"": IMAGES}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_delimiters_and_line_ends(delimiter, end, start, folder):
    text = start + PLAIN.replace(",", delimiter).replace("\n", end) + end
    assert gather_table(write(folder, text, "labels.tsv")).parts == {"": IMAGES}


def test_other_columns_and_other_orders(folder):
    text = "id,class,width,file,split\n7,x,640,cat/1.jpg,train\n8,y,640,dog/1.jpg,valid\n9,x,64,cat/2.jpg,TEST\n"
    gathered = gather_table(write(folder, text))
    assert gathered.parts == {"train": [IMAGES[0]], "val": [IMAGES[2]], "test": [IMAGES[1]]}
    (note,) = gathered.findings
    assert note.text == "columns, separated by commas: path = 'file', label = 'class', split = 'split'; not used: id, width"


def test_values_of_several_lines_in_columns_that_are_not_used(folder):
    text = 'path,note,label\ncat/1.jpg,"two\nlines, one ""quote""",x\ndog/1.jpg,,y\n,,\n'
    gathered = gather_table(write(folder, text))
    assert gathered.parts == {"": [IMAGES[0], IMAGES[2]]}
    with pytest.raises(UserError, match=r"line 4: there is no label\n"):
        gather_table(write(folder, text.replace(",y", ",")))


def test_utf_16_as_spreadsheets_write_it(folder):
    assert gather_table(write(folder, PLAIN.encode("utf-16"))).parts == {"": IMAGES}


def test_quoted_names_and_spaces(folder):
    text = 'path,label\n"a, b.jpg","cats, ""all"""\nwith space.jpg , dogs \n'
    assert gather_table(write(folder, text)).parts == {"": [("a, b.jpg", 'cats, "all"'), ("with space.jpg", "dogs")]}


def test_a_table_without_header_is_taken_where_it_is_plain(folder, caplog):
    path = write(folder, PLAIN.partition("\n")[2])
    with caplog.at_level(logging.WARNING):
        data = load_own(path)
    assert data.name == "labels"
    assert sum(map(len, (data.train, data.test))) == 4
    assert "has no header; column 1 was taken for the paths" in caplog.text
    swapped = "".join(f"{label},{image}\n" for image, label in IMAGES)
    assert gather_table(write(folder, swapped)).parts == {"": IMAGES}


def test_numbers_are_classes_in_their_order_and_gaps_do_not_matter(folder):
    data = load_own(write(folder, "path,label\ncat/1.jpg,10\ncat/2.jpg,10\ndog/1.jpg,9\ndog/2.jpg,9\n"))
    assert data.train.class_names == ("9", "10")
    assert data.class_counts.tolist() == [1, 1]


@pytest.mark.parametrize("given", ["{}/cat/1.jpg", "./cat/1.jpg", "dog/../cat/1.jpg", "cat//1.jpg", "cat\\1.jpg"])
def test_paths_below_the_folder_in_any_spelling(given, folder):
    text = f"path,label\n{given.format(folder)},x\n"
    assert gather_table(write(folder, text)).parts == {"": [("cat/1.jpg", "x")]}


def test_a_split_without_test_images(folder):
    text = "path,label,split\ncat/1.jpg,x,train\ndog/1.jpg,y,train\ncat/2.jpg,x,val\ndog/2.jpg,y,val\n"
    found = find_own(write(folder, text))
    assert found.parts["test"].images.paths == ("cat/2.jpg", "dog/2.jpg")
    assert "val-is-test" in {each.kind for each in found.findings}


def test_names_that_are_not_utf_8_lead_to_their_files(folder):
    (folder / "caf\udce9.jpg").touch()
    gathered = gather_table(write(folder, b"path,label\ncaf\xe9.jpg,x\n"))
    assert gathered.parts == {"": [("caf\udce9.jpg", "x")]}


def test_repeated_lines_count_once_and_other_splits_do_not_matter(folder):
    text = "path,label,split\ncat/1.jpg,x,train\ncat/1.jpg,x,train\ncat/1.jpg,x,test\n"
    gathered = gather_table(write(folder, text))
    assert gathered.parts == {"train": [IMAGES[0]], "test": [IMAGES[0]]}
    assert gathered.findings[-1].text == "1 line repeated an image in the same part, which counts once"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty\nwrite a header"),
        ("path,label\n", r"has a header, but names no image\nadd a line"),
        ("x1,x2\nu,v\n", r"none of the columns 'x1', 'x2' is known to be the path or the label\ncall them path, label"),
        ("file,score\nu,v\n", r"none of the columns 'file', 'score' is known to be the label\n"),
        ("cat/1.jpg,x,7\n", r"has no header, and its columns cannot be told apart\nwrite a header such as path,label"),
        ("cat/1.jpg,cat/2.jpg\n", r"has no header, and its columns cannot be told apart\n"),
        ("path,label\ncat/1.jpg\n", r"line 2: there is no label\ncomplete or delete the line"),
        ("path,label\ncat/1.jpg,\n", r"line 2: there is no label\n"),
        ("path,label\n\n,x\n", r"line 3: there is no path\n"),
        ("path,label,split\ncat/1.jpg,x,7\n", r"line 2: '7' is no part of a data set\nwrite one of train, training, val,"),
        ("path,label\n../cat/1.jpg,x\n", r"line 2: \.\./cat/1\.jpg is not below the table's folder .*\nmove or link"),
        ("path,label\ncat/../../1.jpg,x\n", r"line 2: cat/\.\./\.\./1\.jpg is not below"),
        (
            "path,label\n/elsewhere/1.jpg,x\n",
            r"line 2: /elsewhere/1\.jpg is not below .*\nmove .*or move the table to a folder above",
        ),
        ("path,label\nC:\\cats\\1.jpg,x\n", r"line 2: .* is not below the table's folder"),
        ('path,label\n"cat/1.jpg,x\n', r"line 2: a quotation mark is not closed.*\nquote the whole value"),
        ('path,label\ncat/1.jpg,"x\ncat/2.jpg,y\n' + "dog/1.jpg,y\n" * 20_000, r"line 2: a quotation mark is not closed"),
        (
            'path,label\ncat/1.jpg,"x\ncat/2.jpg,x"\n',
            r"line 2: the label goes on in the next line\nlook whether a quotation mark",
        ),
        (
            "path|label\ncat/1.jpg|x\n",
            r"none of the columns 'path\|label' .*\nseparate the columns by commas, semicolons or tabs",
        ),
        ("cat/1.jpg 0\n", r"none of the columns 'cat/1\.jpg 0' .*\nseparate the columns by commas"),
        ("path,label\nhttps://x.org/1.jpg,x\n", r"line 2: https://x\.org/1\.jpg is an address\ndownload the images"),
        ('{"images": []}', r"is no table, but JSON or a web page; write its images and labels into a table\n"),
        ("path,label\ncat/1.jpg,x\ncat/9.jpg,x\n", r"line 3: there is no .*9\.jpg; 1 of the 2 images are missing\npaths begin"),
        ("path,label\ncat/1,x\n", r"line 2: there is no .*\nthere is cat/1\.jpg: write the paths with what the names end in"),
        ("path,label\n2.jpg,x\n", r"line 2: .*\nthere is cat/2\.jpg: write the paths from the table's folder"),
        (
            "path,label\ncat/1.jpg,x\ncat/1.jpg,y\n",
            r"lines 2 and 3: cat/1\.jpg is labelled 'x' and 'y'\nan image has one label",
        ),
        (b"PK\x03\x04rest", r"is not a text; unpack an archive, save a spreadsheet as CSV\n"),
        (b"path,label\ncat/1.jpg,caf\xe9\ncat/2.jpg,x\n", r"1 class name not in UTF-8: caf\\xe9\n.*save the table as UTF-8"),
        ("path,label,split\ncat/1.jpg,x,test\ndog/1.jpg,y,test\n", r"the table has no training images\ncall the split"),
        ("path,label,split\ncat/1.jpg,x,train\ndog/1.jpg,y,test\n", r"1 class of test without a training image: y\n"),
    ],
)
def test_mistakes_say_where_and_what_to_do(text, message, folder):
    path = write(folder, text)
    with pytest.raises(UserError, match=message) as caught:
        load_own(path)
    assert len(str(caught.value).splitlines()) <= 3


def test_missing_images_are_looked_for_where_most_of_them_are(folder):
    for name in ("other/1.jpg", "train/1.jpg", "train/2.jpg", "train/3.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    path = write(folder, "image_id,label\n1,x\n2,y\n3,y\n", "train.csv")
    with pytest.raises(UserError, match=r"3 of the 3 images are missing\nthere is train/1\.jpg: write the paths from"):
        gather_table(path)


def test_a_table_that_may_not_be_read_is_told(folder, monkeypatch):
    def denied(_path):  # the tests may run as root, whom chmod does not stop
        raise PermissionError(errno.EACCES, "Permission denied")

    path = write(folder, PLAIN)
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(UserError, match=r"cannot read .*labels\.csv: Permission denied\nallow reading it"):
        gather_table(path)


def test_a_picture_is_no_table(folder):
    path = write(folder, b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "photo.jpg")
    with pytest.raises(UserError, match=r"is a picture; give its folder\n"):
        load_own(path)
