import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from longtail.datasets import decode
from longtail.datasets.decode import UnreadableImage, read_image
from longtail.datasets.fake_pictures import pictures

ORIENTATION = 0x0112


def picture(height: int = 40, width: int = 56) -> Image.Image:
    drawn = pictures(np.array([2]), max(height, width, 4), np.random.default_rng(0))[0]
    return Image.fromarray(drawn[:, :height, :width].transpose(1, 2, 0).copy())


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def by_pillow(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def save(image: Image.Image, path: Path, **how) -> Path:
    image.save(path, **how)
    return path


@pytest.fixture
def no_fast_path(monkeypatch):
    """Fails where torchvision gives the pixels."""
    monkeypatch.setattr(decode, "_jpeg_decoder", lambda: pytest.fail("read by torchvision"))


@pytest.fixture
def only_fast_path(monkeypatch):
    """Fails where Pillow gives the pixels."""
    monkeypatch.setattr(decode, "_eight_bits", lambda _: pytest.fail("read by Pillow"))


def assert_readable_as(path: Path, expected: np.ndarray, **how) -> None:
    found = read_image(path, **how)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("only_fast_path")
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}, {"exif": oriented(6)}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_have_pillows_pixels_without_pillow_decoding_them(mode, how, tmp_path):
    path = save(picture().convert(mode), tmp_path / "a.jpg", **how)
    expected = by_pillow(path)
    assert expected.shape == (40, 56, 3)
    assert_readable_as(path, expected)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 100), st.booleans())
def test_jpegs_of_any_size_and_quality_have_pillows_pixels(tmp_path_factory, height, width, quality, grey):
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    save(picture(height, width).convert("L" if grey else "RGB"), path, quality=quality)
    assert_readable_as(path, by_pillow(path))


def test_cmyk_jpegs_are_converted_by_pillow(tmp_path):
    path = save(picture().convert("CMYK"), tmp_path / "a.jpg")
    assert_readable_as(path, by_pillow(path))
    assert np.abs(by_pillow(path).astype(int) - np.array(picture())).mean() < 10, "not the inverse of the picture"


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "gif", "webp", "tif", "ppm"])
def test_one_pixel_is_a_picture(suffix, tmp_path):
    path = save(Image.new("RGB", (1, 1), (200, 30, 60)), tmp_path / f"a.{suffix}")
    assert_readable_as(path, by_pillow(path))


@pytest.mark.usefixtures("no_fast_path")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_pngs_are_what_pillow_makes_of_them(mode, tmp_path):
    path = save(picture().convert(mode), tmp_path / "a.png")
    assert_readable_as(path, by_pillow(path))


@pytest.mark.usefixtures("no_fast_path")
def test_the_name_says_nothing(tmp_path):
    path = save(picture(), tmp_path / "a.JPEG", format="PNG")
    assert_readable_as(path, np.array(picture()))


def png_of_sixteen_bits(values: np.ndarray) -> bytes:
    """A PNG of values of shape (H, W) or (H, W, 3), which Pillow cannot write with colours."""
    height, width, *channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    written = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@pytest.mark.parametrize("form", ["png", "tif", "pgm"])
def test_sixteen_bits_keep_their_upper_eight(form, tmp_path):
    values = (np.arange(64, dtype=np.uint32).reshape(8, 8) * 1040).astype(np.uint16)
    path = tmp_path / f"a.{form}"
    if form == "tif":
        save(Image.fromarray(values), path)
    else:
        path.write_bytes(png_of_sixteen_bits(values) if form == "png" else b"P5 8 8 65535\n" + values.astype(">u2").tobytes())
    assert_readable_as(path, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))
    assert len(np.unique(read_image(path))) > 60, "clipped to white"


def test_sixteen_bits_a_colour_keep_their_upper_eight(tmp_path):
    values = (np.arange(4 * 4 * 3, dtype=np.uint32).reshape(4, 4, 3) * 1365).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png_of_sixteen_bits(values))
    assert_readable_as(tmp_path / "a.png", (values >> 8).astype(np.uint8))


def test_more_than_sixteen_bits_have_no_white(tmp_path):
    wide = save(Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)), tmp_path / "wide.tif")
    floats = save(Image.fromarray(np.array([[0.0, 1.0]], dtype=np.float32)), tmp_path / "floats.tif")
    with pytest.raises(UnreadableImage, match="run from 0 to 70000, which is more than 16 bits"):
        read_image(wide)
    with pytest.raises(UnreadableImage, match="floating-point"):
        read_image(floats)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_pictures_are_turned_only_where_asked(suffix, value, tmp_path):
    path = save(picture(), tmp_path / f"a.{suffix}", exif=oriented(value))
    assert_readable_as(path, by_pillow(path))
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert_readable_as(path, upright, upright=True)
    assert (upright.shape == (40, 56, 3)) == (value < 5)


def test_tiffs_are_turned_once(tmp_path):
    path = save(picture(), tmp_path / "a.tif", tiffinfo={ORIENTATION: 6})
    turned = np.array(picture().transpose(Image.Transpose.ROTATE_270))
    assert_readable_as(path, turned, upright=True)


@pytest.mark.usefixtures("only_fast_path")
@pytest.mark.parametrize("value", [0, 9, 77])
def test_orientations_without_a_meaning_turn_nothing(value, tmp_path):
    path = save(picture(), tmp_path / "a.jpg", exif=oriented(value))
    assert_readable_as(path, by_pillow(path), upright=True)


def test_damaged_exif_turns_nothing(tmp_path):
    content = bytearray(save(picture(), tmp_path / "a.jpg", exif=oriented(6)).read_bytes())
    stored = by_pillow(tmp_path / "a.jpg")
    at = content.index(b"Exif\0\0") + 6
    content[at : at + 8] = struct.pack("<4sI", b"II*\0", 4000)
    (tmp_path / "a.jpg").write_bytes(content)
    assert_readable_as(tmp_path / "a.jpg", stored, upright=True)


@pytest.mark.parametrize("how", [{}, {"progressive": True}])
@pytest.mark.parametrize("missing", range(1, 8))
def test_pillow_decides_about_the_last_bytes_of_a_jpeg(missing, how, tmp_path):
    content = save(picture(), tmp_path / "a.jpg", **how).read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:-missing])
    try:
        expected = by_pillow(tmp_path / "a.jpg")
    except OSError:
        with pytest.raises(UnreadableImage):
            read_image(tmp_path / "a.jpg")
    else:
        assert_readable_as(tmp_path / "a.jpg", expected)


def test_what_torchvision_refuses_pillow_may_read(tmp_path, monkeypatch):
    def refuse(_):
        raise RuntimeError("decode_jpeg: no")

    monkeypatch.setattr(decode, "_jpeg_decoder", lambda: refuse)
    path = save(picture(), tmp_path / "a.jpg")
    assert_readable_as(path, by_pillow(path))


@pytest.mark.parametrize("kept", [0.6, 0.9])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_files_are_unreadable(suffix, kept, tmp_path):
    content = save(picture(), tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_image(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "the format HEIC, whatever its name says; convert it to JPEG"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1avif", "the format AVIF, whatever its name says; convert it to JPEG"),
        (b"\n<!DOCTYPE html><html></html>", "a web page instead of a picture; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_what_people_take_for_pictures_is_told_by_name(content, reason, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(tmp_path / "a.jpg")


def test_what_is_no_picture_is_unreadable(tmp_path):
    (tmp_path / "text.jpg").write_text("404 Not Found")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "header.jpg").write_bytes(save(picture(), tmp_path / "a.jpg").read_bytes()[:20])
    (tmp_path / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    for name in ("text", "header", "drawing"):
        with pytest.raises(UnreadableImage, match=r"no picture of the formats JPEG, PNG, .*, or its beginning is damaged"):
            read_image(tmp_path / f"{name}.jpg")
    with pytest.raises(UnreadableImage, match=r"^the file is empty$"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(UnreadableImage, match=r"^Is a directory$"):
        read_image(tmp_path)
    with pytest.raises(UnreadableImage, match=r"^No such file or directory$"):
        read_image(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableImage, match=r"^Not a directory$"):
        read_image(tmp_path / "a.jpg" / "below.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("excess", [1.5, 3])
def test_decompression_bombs_are_unreadable(suffix, excess, tmp_path, monkeypatch):
    path = save(picture(), tmp_path / f"a.{suffix}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(40 * 56 / excess))
    with pytest.raises(UnreadableImage, match=r"pixels.*; make the picture smaller"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert_readable_as(path, by_pillow(path))


def test_other_errors_of_pillow_are_told_in_one_line(tmp_path, monkeypatch):
    def fail(_):
        raise struct.error("unpack requires\na buffer")

    path = save(picture(), tmp_path / "a.png")
    monkeypatch.setattr(decode, "_eight_bits", fail)
    with pytest.raises(UnreadableImage, match=r"^unpack requires a buffer$"):
        read_image(path)


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files")])
def test_failures_of_the_machine_are_not_blamed_on_the_file(error, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "fromfile", fail)
    with pytest.raises(type(error)):
        read_image(tmp_path / "a.png")


def test_without_torchvisions_decoder_pillow_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_jpeg_decoder", lambda: None)
    path = save(picture(), tmp_path / "a.jpg")
    assert_readable_as(path, by_pillow(path))


def test_no_file_makes_a_warning(tmp_path):
    palette = picture().convert("P")
    palette.info["transparency"] = bytes(range(256))
    palette.save(tmp_path / "palette.png")
    save(picture(), tmp_path / "plain.jpg")
    content = bytearray(save(picture(), tmp_path / "exif.jpg", exif=oriented(6)).read_bytes())
    content[content.index(b"Exif\0\0") + 14] = 200  # as many tags, of which most are not there
    (tmp_path / "exif.jpg").write_bytes(content)
    paths = sorted(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            read_image(path)
            read_image(path, upright=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for path in paths:
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                image.getexif()
                image.convert("RGB")
    assert len({str(each.message) for each in told}) >= 2, "these files make Pillow warn"


def test_several_threads_read_what_one_reads(tmp_path):
    paths = [save(picture(8 + i), tmp_path / f"{i}.{'png' if i % 2 else 'jpg'}") for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for path, found in zip(paths, pool.map(read_image, paths), strict=True):
            np.testing.assert_array_equal(found, by_pillow(path))


def test_importing_the_module_does_not_import_torch():
    code = "import sys, longtail.datasets.decode; sys.exit(bool({'torch', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_for_a_header(rest):
    assert decode._jpeg_size(memoryview(b"\xff\xd8" + rest)) is None or b"\xff" in rest


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + bytes(4000)}, {"comment": b"\xff" * 70}])
def test_the_size_in_a_header(how, tmp_path):
    path = save(Image.new("RGB", (37, 21)), tmp_path / "a.jpg", **how)
    assert decode._jpeg_size(memoryview(path.read_bytes())) == (21, 37)
