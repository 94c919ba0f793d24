import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from formats import hostile_data as h
from PIL import Image, ImageOps

from tinyvision.data import read_image
from tinyvision.errors import DataError, OptionError
from tinyvision.tasks.masks import read_mask

PICTURE = h.picture()


@pytest.mark.parametrize("kind", h.IMAGE_KINDS)
def test_every_kind_reads_as_pillow_reads_it(kind, tmp_path):
    name, options = h.IMAGE_KINDS[kind]
    data = h.encode(PICTURE, name, **options)
    (tmp_path / "picture.dat").write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    for source in (data, tmp_path / "picture.dat"):
        found = read_image(source)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        assert found.flags.writeable
        np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", h.IMAGE_KINDS)
def test_every_cut_is_refused(kind):
    name, options = h.IMAGE_KINDS[kind]
    data = h.encode(PICTURE, name, **options)
    for size in range(len(data)):
        with pytest.raises(DataError):
            read_image(data[:size])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = h.encode(PICTURE, kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(read_image(data), np.asarray(expected))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_broken_exif_data_do_not_spoil_a_whole_picture():
    data = h.encode(PICTURE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03")
    assert read_image(data).shape == PICTURE.shape


def _modes():
    rgb = Image.fromarray(PICTURE)
    alpha = Image.fromarray(np.dstack([PICTURE, np.arange(17, dtype=np.uint8) * 15 + 0 * PICTURE[:, :, 0]]), "RGBA")
    palette_with_alpha = rgb.quantize(20)
    palette_with_alpha.info["transparency"] = 3
    return {
        "grey": (rgb.convert("L"), "PNG"),
        "bits": (rgb.convert("1"), "PNG"),
        "grey with alpha": (rgb.convert("LA"), "PNG"),
        "alpha": (alpha, "PNG"),
        "alpha webp": (alpha, "WEBP"),
        "palette": (rgb.quantize(20), "PNG"),
        "palette with alpha": (palette_with_alpha, "PNG"),
        "cmyk": (rgb.convert("CMYK"), "JPEG"),
        "cmyk tiff": (rgb.convert("CMYK"), "TIFF"),
        "grey jpeg": (rgb.convert("L"), "JPEG"),
        "pgm": (rgb.convert("L"), "PPM"),
    }


@pytest.mark.parametrize("mode", _modes())
def test_other_modes_become_rgb(mode):
    image, kind = _modes()[mode]
    data = h.encode(image, kind)
    expected = Image.open(io.BytesIO(data))
    expected.info.pop("transparency", None)
    dropped = read_image(data, background=None)
    np.testing.assert_array_equal(dropped, np.asarray(expected.convert("RGB")))
    if mode == "alpha":  # dropped, not blended: the colours are those that are stored
        np.testing.assert_array_equal(dropped, PICTURE)
    if "alpha" in mode:
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(Image.open(io.BytesIO(data)).convert("RGBA"))
        difference = read_image(data).astype(int) - np.asarray(on_white.convert("RGB"))
        assert np.abs(difference).max() <= 1  # Pillow rounds otherwise
    else:
        np.testing.assert_array_equal(read_image(data), dropped)
    if mode.startswith("cmyk"):  # through CMYK and back; JPEG loses a little more
        assert np.abs(read_image(data).astype(int) - PICTURE).mean() < 12


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind):
    levels = np.linspace(0, 65535, 12 * 17).astype(np.uint16).reshape(12, 17)
    found = read_image(h.encode(levels, kind))
    assert found.min() == 0
    assert found.max() == 255
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    np.testing.assert_array_equal(found[..., 0], np.rint(levels / 257))


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_a_tiff_whose_zero_is_white_is_no_negative(bits):
    """Its tag 262, PhotometricInterpretation, says what 0 means: white here, black in the other file."""
    levels = np.arange(12 * 16).reshape(12, 16) * (1 << bits) // (12 * 16)
    out = [read_image(grey_tiff(levels, bits, photometric)) for photometric in (0, 1)]
    np.testing.assert_array_equal(out[0], 255 - out[1])
    assert out[1][0, 0, 0] == 0
    assert out[1][-1, -1, 0] > 250


def grey_tiff(levels, bits, photometric):
    """A TIFF of one strip, written out here, for Pillow writes no such file of 16 bits."""
    packed = np.packbits(levels.astype(np.uint8), axis=1) if bits == 1 else levels.astype(f"<u{bits // 8}")
    pixels, (height, width) = packed.tobytes(), levels.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(pixels)))
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<L", 8 + len(pixels)) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_black_drawing_on_nothing_is_black_on_white():
    pixels = np.zeros((6, 6, 4), np.uint8)
    pixels[2:4, 2:4, 3] = 255
    found = read_image(h.encode(Image.fromarray(pixels), "PNG"))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[2, 2].tolist() == [0, 0, 0]
    assert read_image(h.encode(Image.fromarray(pixels), "PNG"), background=(9, 8, 7))[0, 0].tolist() == [9, 8, 7]


def test_notes_beside_the_pixels_do_not_matter():
    whole = h.encode(PICTURE, "PNG")
    for chunk in (
        h.png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(1_500_000))),
        h.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2_000_000)),
        h.png_chunk(b"tEXt", b"Comment\0" + b"x" * 2_000_000),
        h.png_chunk(b"tIME", bytes(7))[:-1] + b"!",  # a wrong checksum
        h.png_chunk(b"tRNS", bytes(7))[:-1] + b"!",
    ):
        np.testing.assert_array_equal(read_image(whole[:33] + chunk + whole[33:]), PICTURE)
        np.testing.assert_array_equal(read_mask(whole[:33] + chunk + whole[33:]), PICTURE)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = h.encode(PICTURE, "PNG", exif=exif)
    note = h.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 2_000_000))
    np.testing.assert_array_equal(read_image(turned[:33] + note + turned[33:]), read_image(turned))
    assert read_image(turned).shape == (17, 12, 3)


def test_the_size_field_of_a_bmp_is_not_believed():
    data = bytearray(h.encode(PICTURE, "BMP"))
    data[2:6] = struct.pack("<L", len(data) + 1000)
    np.testing.assert_array_equal(read_image(bytes(data)), PICTURE)
    with pytest.raises(DataError, match=r"cut short: .* of .* bytes"):
        read_image(bytes(data[:-1]))


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "is AVIF"),
        (b"\n<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "it is a Git LFS pointer, .*git lfs pull"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"<?xml version='1.0'?><svg>", "it is an SVG drawing"),
        (b"\xff\x0a" + bytes(30), "it is JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "it is JPEG 2000"),
        (b"\xc5\xd0\xd3\xc6 \0\0\0", "it is PostScript"),
    ],
)
def test_what_is_no_picture_under_the_name_of_one_is_called_by_its_own(tmp_path, beginning, words):
    path = tmp_path / "photo.jpg"
    path.write_bytes(beginning + bytes(100))
    for reader in (read_image, read_mask):
        with pytest.raises(DataError, match=words.replace("is ", "(it )?is ")):
            reader(path)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_kinds_that_need_a_package(kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow has no {kind}")
    smooth = np.repeat(np.arange(64, dtype=np.uint8)[:, None] * 3, 64, axis=1)
    found = read_image(h.encode(np.repeat(smooth[:, :, None], 3, 2), kind))
    assert found.shape == (64, 64, 3)
    assert np.abs(found.astype(int) - smooth[:, :, None]).mean() < 4  # both lose a little


def test_colours_that_are_no_rgb_are_refused_as_what_they_are():
    file = io.BytesIO()
    Image.new("LAB", (4, 4)).save(file, "TIFF")
    with pytest.raises(DataError, match=r"L\*a\*b\*; save the picture as RGB"):
        read_image(file.getvalue())


def test_pixels_of_unknown_range_are_refused():
    for image in (np.full((4, 4), 0.5, np.float32), np.full((4, 4), 100_000, np.int32)):
        with pytest.raises(DataError, match="range is unknown"):
            read_image(h.encode(image, "TIFF"))


def test_a_png_without_its_last_rows():
    rows = b"".join(b"\0" + bytes(30) for _ in range(10))
    assert read_image(h.png_bytes(10, 10, rows)).shape == (10, 10, 3)
    Image.open(io.BytesIO(h.png_bytes(10, 10, rows[:31]))).load()  # Pillow says nothing
    for pixels in (rows[:31], rows[:-1], b""):
        with pytest.raises(DataError, match=r"cut short: .* bytes of pixel data"):
            read_image(h.png_bytes(10, 10, pixels))
    with pytest.raises(DataError, match="more pixel data"):
        read_image(h.png_bytes(10, 10, rows + rows))


@pytest.mark.parametrize(
    ("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 6)]
)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (9, 17)])
@pytest.mark.parametrize("interlace", [0, 1])
def test_png_sizes_of_every_depth_and_interlacing(depth, colour, size, interlace):
    # The rows of each pass by the letter of the specification, one pixel at a time.
    width, height = size
    bits = depth * {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
    pixels = b""
    for x, y, step_x, step_y in passes:
        columns = len(range(x, width, step_x))
        for _ in range(y, height, step_y):
            pixels += bytes(1 + (columns * bits + 7) // 8) if columns else b""
    data = h.png_bytes(width, height, pixels, depth, colour, interlace)
    Image.open(io.BytesIO(data)).load()
    assert read_image(data).shape == (height, width, 3)
    with pytest.raises(DataError):
        read_image(h.png_bytes(width, height, pixels[:-1], depth, colour, interlace))


def test_rows_filtered_in_an_unknown_way():
    rows = [bytes([number % 5]) + bytes(30) for number in range(10)]
    assert read_image(h.png_bytes(10, 10, b"".join(rows))).shape == (10, 10, 3)
    for bad in range(10):
        wrong = b"".join(rows[:bad]) + b"\x05" + b"".join(rows[bad:])[1:]
        with pytest.raises(DataError, match="unknown way"):
            read_image(h.png_bytes(10, 10, wrong))


def test_millions_of_tiny_parts_are_refused_soon():
    import time

    chunk = h.png_chunk(b"tEXt", b"a\0b")
    png = h.png_bytes(10, 10, b"".join(b"\0" + bytes(30) for _ in range(10)))
    for data in (
        png[:33] + chunk * 200_000 + png[33:],
        b"\xff\xd8" + b"\xff\xe0\0\2" * 500_000 + b"\xff\xd9",
        b"GIF89a\x0a\0\x0a\0\0\0\0!\xfe" + b"\1a" * 1_000_000 + b"\0;",
    ):
        start = time.process_time()
        with pytest.raises(DataError, match="far too many"):
            read_image(data)
        assert time.process_time() - start < 5  # a fraction of a second; Pillow takes 2 to 20


def test_too_many_pixels_are_refused_before_decoding():
    bomb = h.png_bytes(50_000, 50_000, b"")
    with pytest.raises(DataError, match="50000 x 50000 pixels; the most that is allowed is max_pixels=89,478,485"):
        read_image(bomb)
    with pytest.raises(DataError, match="1000000 x 100 pixels"):
        read_image(h.png_bytes(1_000_000, 100, b""))
    with pytest.raises(DataError, match="2000000 x 100 pixels; a side may have 1,048,576"):
        read_image(h.png_bytes(2_000_000, 100, b""))
    with pytest.raises(DataError, match="max_pixels=200"):
        read_image(h.encode(PICTURE, "JPEG"), max_pixels=200)
    assert read_image(h.encode(PICTURE, "JPEG"), max_pixels=204).shape == (12, 17, 3)
    for limit in (0, -1, True, 1.5, 10**10):
        with pytest.raises(OptionError, match="max_pixels"):
            read_image(bomb, max_pixels=limit)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_max_pixels_alone_says_how_large_a_picture_may_be(kind, monkeypatch):
    """Pillow warns above its limit and refuses above twice that, whatever the caller allows."""
    expected = read_image(h.encode(PICTURE, kind))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 103)
    assert np.array_equal(read_image(h.encode(PICTURE, kind), max_pixels=204), expected)
    assert read_mask(h.encode(PICTURE[:, :, 0], "PNG"), max_pixels=204).shape == (12, 17)
    for reader in (read_image, read_mask):
        with pytest.raises(DataError, match="17 x 12 pixels; the most that is allowed is max_pixels=203"):
            reader(h.encode(PICTURE, kind), max_pixels=203)
    assert Image.MAX_IMAGE_PIXELS == 103
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    with ThreadPoolExecutor(4) as pool:
        assert all((found == expected).all() for found in pool.map(read_image, [h.encode(PICTURE, kind)] * 40))
    assert Image.MAX_IMAGE_PIXELS == 3


def test_kinds_that_are_not_meant_are_not_opened(tmp_path):
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    ico = h.encode(Image.fromarray(PICTURE).resize((16, 16)), "ICO")
    for data in (eps, ico, b"<html></html>", b"%PDF-1.4", struct.pack("<I", 1) * 100):
        with pytest.raises(DataError, match="not an image of a known kind"):
            read_image(data)
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"photo\.jpg: is not an image of a known kind: it is a web page"):
        read_image(path)


def test_the_first_picture_of_an_animation():
    frames = [Image.fromarray(h.picture(seed=i)).quantize(30) for i in range(3)]
    data = h.encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(data), np.asarray(frames[0].convert("RGB")))
    for size in range(0, len(data), 3):
        with pytest.raises(DataError):
            read_image(data[:size])


def test_a_gif_without_its_trailer_is_told_that_it_has_no_end():
    """All of its pixels may be there, or the next pictures of an animation may be missing: nothing tells which."""
    data = h.encode(PICTURE, "GIF")
    assert data[-1:] == b";"
    Image.open(io.BytesIO(data[:-1])).load()  # Pillow says nothing
    with pytest.raises(DataError, match="is cut short: it has no end"):
        read_image(data[:-1])


def test_bytes_after_the_end_are_harmless():
    for kind in ("JPEG", "PNG", "GIF"):
        data = h.encode(PICTURE, kind)
        np.testing.assert_array_equal(read_image(data + b"appended by a camera"), read_image(data))


def test_pillow_s_global_leniency_changes_nothing(monkeypatch):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        with pytest.raises(DataError):
            read_image(h.encode(PICTURE, kind)[:-60])
