"""Tables of images: what is read, and what is said of tables that are wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.datasets.base import FileImages
from longtail.datasets.factory import create_data
from longtail.datasets.fake import write_fake
from longtail.datasets.list_forms import TABLE
from longtail.datasets.tables import has_tables, load_tables, read_table
from longtail.errors import UserError


def tables(root: Path, **rows: str) -> Path:
    """Writes tables of these lines below a header, and the images `images/a.jpg` to `images/e.jpg`."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name in "abcde":
        (root / f"images/{name}.jpg").touch()
    for part, lines in rows.items():
        (root / f"{part}.csv").write_text("img,label\n" + lines.replace(" ", "\n"), encoding="utf-8")
    return root


def samples(part) -> list[tuple[str, int]]:
    return list(zip(part.images.paths, part.labels.tolist(), strict=True))


TRAIN, TEST = "data/images/a.jpg,0 images/b.jpg,1 images/c.jpg,1", "images/d.jpg,0"


def test_paths_begin_at_the_root(tmp_path):
    root = tables(tmp_path / "data/toy", train="data/images/a.jpg,0 images/b.jpg,1", test=TEST)
    data = load_tables(root)
    assert isinstance(data.train.images, FileImages)
    found = [(data.train.images.root / file, label) for file, label in samples(data.train)]
    assert found == [(root / "images/a.jpg", 0), (root / "images/b.jpg", 1)]
    assert not data.train.images.upright


def test_what_comes_out(tmp_path):
    data = load_tables(tables(tmp_path, train=TRAIN, test=TEST, val="images/e.jpg,1"))
    assert (data.name, data.val, data.image_size, data.train.class_names) == ("csv", None, 224, ("0", "1"))
    assert (data.mean, data.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert data.class_counts.tolist() == [1, 2]
    assert samples(data.test) == [("images/d.jpg", 0)]
    data = load_tables(tmp_path, with_val=True, image_size=32)
    assert data.val is not None
    assert samples(data.val) == [("images/e.jpg", 1)]
    assert data.image_size == 32


def test_only_the_parts_asked_for_are_read(tmp_path):
    root = tables(tmp_path, train=TRAIN, test=TEST, val="no table")
    assert load_tables(root).val is None
    with pytest.raises(UserError, match=r"val\.csv, line 2"):
        load_tables(root, with_val=True)
    (root / "val.csv").unlink()
    assert load_tables(root, with_val=True).val is None, "training images can be held out instead"


def test_images_are_looked_for_where_they_matter(tmp_path):
    root = tables(tmp_path, train="images/a.jpg,0 gone.jpg,0 gone/too.jpg,0", test="images/b.jpg,0")
    with pytest.raises(
        UserError, match=r"train\.csv, line 3: there is no .*gone\.jpg; 2 of the 3 images in this list are missing"
    ):
        load_tables(root)
    assert len(load_tables(root, check_files=("test",)).train) == 3
    assert len(create_data("csv", root=root, only_tested=True).train) == 3


def test_another_table_can_be_trained_on(tmp_path):
    root = tables(tmp_path, train=TRAIN, test=TEST, alltrain=f"{TRAIN} images/e.jpg,0")
    assert load_tables(root, train_table="alltrain.csv").class_counts.tolist() == [2, 2]
    assert create_data("csv", root=root, train_table="alltrain.csv").class_counts.tolist() == [2, 2]


def test_classes_are_called_by_their_folders_where_each_has_one(tmp_path):
    root = tables(tmp_path, train="x/cat/1.jpg,1 x/ant/1.jpg,0", test="x/cat/2.jpg,1")
    assert load_tables(root, check_files=()).train.class_names == ("ant", "cat")
    tables(root, train="x/cat/1.jpg,1 x/cat/2.jpg,0")
    assert load_tables(root, check_files=()).train.class_names == ("0", "1")


@pytest.mark.parametrize(
    "text",
    [
        "img,label\na b.jpg,0\n",
        "img,label\r\na b.jpg,0\r\n",
        "\ufeffimg,label\na b.jpg,0",
        "img,label\n\na b.jpg, 0 \n\n",
        "img\na b.jpg,0\n",
        'img,label\n"a b.jpg",0\n',
        "filename,label,more\na b.jpg,0,x,y\n",
        "img,label\ndata/a b.jpg,0\n",
    ],
)
def test_forms_that_mean_the_same(text, tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(text.encode())
    listed = read_table(path)
    assert (listed.paths, listed.labels.tolist()) == (("a b.jpg",), [0])


def test_a_name_with_a_comma_or_a_quotation_mark_is_quoted(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text('img,label\n"a, b/""c"".jpg",7\n', encoding="utf-8")
    assert read_table(path).paths == ('a, b/"c".jpg',)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.jpg", r"train\.csv, line 3: expected one line `path,label`, found 'a\.jpg'"),
        ("a.jpg,", r"line 3: expected one line `path,label`, found 'a\.jpg,'"),
        (",0", "line 3: expected one line"),
        ("data/,0", "line 3: expected one line"),
        ("a.jpg,cat", "line 3: the label 'cat' is not an integer"),
        ("a.jpg,1.0", "line 3: the label '1.0' is not an integer"),
        ("a.jpg,-1", r"line 3: label -1 is outside \[0"),
        ("a.jpg,99999999999", "line 3: label 99999999999 is outside"),
        ("../a.jpg,0", r"line 3: the path '\.\./a\.jpg' is not below the data root"),
        ("data/../../a.jpg,0", "line 3: the path .* is not below the data root"),
        ("/etc/a.jpg,0", "line 3: the path '/etc/a.jpg' is not below the data root"),
        ("data//etc/a.jpg,0", "line 3: the path '/etc/a.jpg' is not below the data root"),
        ('"a.jpg,0', "cannot read the list .*train.csv: line 3: unexpected end of data"),
    ],
)
def test_mistakes_are_told_with_their_line(lines, message, tmp_path):
    root = tables(tmp_path, train=f"images/b.jpg,0 {lines}", test=TEST)
    with pytest.raises(UserError, match=message):
        load_tables(root)


def test_labels_fit_the_number_of_classes(tmp_path):
    root = tables(tmp_path, train=TRAIN, test=TEST)
    with pytest.raises(UserError, match=r"train\.csv, line 3: label 1 is outside \[0, 1\)"):
        load_tables(root, num_classes=1)
    with pytest.raises(UserError, match=r"class 2 has no image; .*; the largest label is 1, and there should be 10 classes"):
        create_data("csv", root=root, num_classes=10)
    assert load_tables(root, num_classes=2).num_classes == 2


def test_a_class_needs_a_training_image(tmp_path):
    root = tables(tmp_path, train="images/a.jpg,0 images/b.jpg,2", test=TEST)
    with pytest.raises(UserError, match=r"train\.csv: class 1 has no image; every class needs one to train on$"):
        load_tables(root)
    tables(root, train="images/a.jpg,0", test="images/b.jpg,0 images/c.jpg,999999999")
    with pytest.raises(UserError, match="class 1 has no image"):
        load_tables(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.csv is empty"),
        ("\n\n", r"train\.csv is empty"),
        ("img,label\n", "it has a header, but names no image"),
        ("images/a.jpg,0\nimages/b.jpg,1\n", r"its first line is an image, 'images/a\.jpg,0'; a header such as `img,label`"),
        (
            "filename,label\nn0153282900000005.jpg,n01532829\n",
            "labels are WordNet ids, such as n01532829.*\n.*make mini-imagenet-lt",
        ),
    ],
)
def test_whole_tables_that_are_wrong(text, message, tmp_path):
    root = tables(tmp_path, test=TEST)
    (root / "train.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load_tables(root)


def test_undecodable_tables_are_told(tmp_path):
    root = tables(tmp_path, test=TEST)
    (root / "train.csv").write_bytes(b"img,label\n\xff\xfe,0\n")
    with pytest.raises(UserError, match=r"cannot read the list .*train\.csv"):
        load_tables(root)


def test_what_is_missing_is_told_with_what_is_expected(tmp_path):
    assert not has_tables(tmp_path)
    with pytest.raises(
        UserError, match=r"no table .*train\.csv\.\nExpected: train\.csv and test\.csv(.|\n)*fake --layout mini-imagenet"
    ):
        load_tables(tmp_path)
    root = tables(tmp_path, train=TRAIN)
    assert has_tables(root)
    with pytest.raises(UserError, match=r"no table .*test\.csv\.\n"):
        load_tables(root)
    tables(root, val=TEST)
    with pytest.raises(UserError, match=r"To be judged on .*val\.csv, copy it to test\.csv"):
        load_tables(root)
    with pytest.raises(UserError, match="is a file"):
        load_tables(root / "train.csv")


def test_a_few_shot_split_is_recognised(tmp_path):
    root = tables(tmp_path, train="images/a.jpg,0 images/b.jpg,1", test="images/c.jpg,2 images/d.jpg,3")
    with pytest.raises(UserError, match=r"no class in common.*\n.*longtail data make mini-imagenet-lt"):
        load_tables(root)
    for path in ("train/ant/1.jpg", "val/bee/1.jpg", "test/cat/1.jpg"):
        (tmp_path / "split" / path).parent.mkdir(parents=True)
        (tmp_path / "split" / path).touch()
    with pytest.raises(UserError, match=r"no class in common.*\n.*longtail data make mini-imagenet-lt"):
        create_data("folder", root=tmp_path / "split")


def test_fake_data_are_announced(tmp_path, caplog):
    root = write_fake("mini-imagenet", tmp_path / "mini", num_classes=3, largest_class=4, test_per_class=2)
    data = load_tables(root, with_val=True)
    assert data.train.class_names == ("n10000000", "n10000001", "n10000002")
    assert data.val is not None
    assert data.val.class_counts.tolist() == data.test.class_counts.tolist() == [2, 2, 2]
    assert "generated fake data, not your images" in caplog.text
    other = write_fake("imagenet-lt-csv", tmp_path / "other", num_classes=3, largest_class=4, test_per_class=2)
    with pytest.raises(UserError, match="holds fake data for imagenet-lt-csv, not for csv"):
        load_tables(other)


def test_bad_images_can_be_left_out(tmp_path):
    root = tables(tmp_path, train="good.png,0 images/a.jpg,0 gone.png,0", test="good.png,0")
    Image.new("RGB", (4, 4)).save(root / "good.png")
    data = create_data("csv", root=root, on_bad_image="skip")
    assert data.class_counts.tolist() == [1]
    assert set(data.left_out) == {"images/a.jpg", "gone.png"}


@given(text=st.text(alphabet='a,"0/\n\r.\\ ', max_size=40))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_text_is_a_table_or_a_mistake(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        listed = TABLE.read(path, 5)
    except UserError:
        return
    assert len(listed.paths) == len(listed.labels) > 0
    assert all(path and not path.startswith("/") and ".." not in path.split("/") for path in listed.paths)
