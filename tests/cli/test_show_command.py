"""`tinyvision show`: pictures and arrays of every kind in the terminal, in colours or in characters."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from tinyvision.cli import main
from tinyvision.data.show import array_picture, blocks_preview
from tinyvision.errors import DtypeError, OptionError, ShapeError
from tinyvision.weights import save


def _colours(text):
    """Every half block's upper and lower colour, line by line."""
    return [
        [tuple(map(int, found)) for found in re.findall(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line)]
        for line in text.splitlines()
    ]


def test_two_pixels_in_a_character():
    pixels = np.arange(3 * 2 * 3, dtype=np.uint8).reshape(3, 2, 3)
    (first, second) = _colours(blocks_preview(pixels, 3))
    assert first == [(0, 1, 2, 6, 7, 8), (3, 4, 5, 9, 10, 11)]
    assert second == [(12, 13, 14, 12, 13, 14), (15, 16, 17, 15, 16, 17)]  # the last row, twice
    assert [len(line) for line in _colours(blocks_preview(pixels, 4))] == [4, 4, 4]  # enlarged twice
    assert {len(line) for line in _colours(blocks_preview(np.zeros((10, 200, 3), np.uint8), 50))} == {50}
    with pytest.raises(OptionError, match="width"):
        blocks_preview(pixels, 1)


def test_signs_have_colours():
    pixels, shown, count = array_picture(np.array([[-2.0, 0, 1, np.nan]]))
    assert (shown, count) == (1, 1)
    assert pixels[2, 2:6].tolist() == [[168, 67, 0], [255, 255, 255], [128, 175, 209], [255, 0, 255]]
    pixels, *_ = array_picture(np.array([0, 5, 10], np.int32))
    assert pixels[2, 2:5].tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255]]


def test_a_filter_bank_has_a_row_for_each_filter():
    bank = np.random.default_rng(0).normal(size=(4, 5, 3, 3))
    pixels, shown, count = array_picture(bank)
    assert (shown, count) == (20, 20)
    assert pixels.shape == (4 * 5 + 2, 5 * 5 + 2, 3)
    assert array_picture(bank, most=7)[1:] == (7, 20)
    assert array_picture(bank[:, :3])[1:] == (4, 4)  # in colour
    photo = np.zeros((4, 6, 3), np.uint8)
    assert array_picture(photo)[0].shape == photo.shape
    with pytest.raises(DtypeError):
        array_picture(np.array(["a"]))
    with pytest.raises(ShapeError):
        array_picture(np.zeros((0, 3)))


def test_a_single_row_is_folded_and_a_long_map_squeezed(tmp_path, capsys):
    line = np.arange(1.0, 131)
    for row in (line, line[:, None], line[None]):
        pixels = array_picture(row)[0][2:-2, 2:-2]
        assert pixels.shape == (3, 64, 3)
        assert pixels[2, 1].tolist() == [255, 255, 255]  # the 130th, the largest
        assert pixels[1, 0, 0] == round(65 / 130 * 255)
        assert (pixels[2, 2:] == 255).all()
    assert array_picture(np.arange(64))[0].shape == (1 + 4, 64 + 4, 3)
    for shape in [(3000, 5), (5, 3000), (3000, 1), (3000,)]:
        np.save(tmp_path / "long.npy", np.ones(shape))
        for colour in ("always", "never"):
            assert main(["show", str(tmp_path / "long.npy"), "--width", "80", "--colour", colour]) == 0
            told = capsys.readouterr().out
            assert 5 < told.count("\n") < 80
            assert ("averaged" in told) == (5 in shape)


def test_the_command_on_files_of_every_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8)).save("photo.png")
    np.save("maps.npy", rng.normal(size=(2, 5, 5)))
    save({"fc.bias": rng.normal(size=3), "conv.weight": rng.normal(size=(2, 3, 3, 3))}, "net.safetensors")
    for file, says in {"photo.png": "uint8 (6, 9, 3)", "maps.npy": "float64 (2, 5, 5)",
                       "net.safetensors": "conv.weight: float64 (2, 3, 3, 3)"}.items():  # fmt: skip
        assert main(["show", file]) == 0
        told = capsys.readouterr().out
        assert says in told
        assert "\x1b" not in told  # this is no terminal
    assert "2 arrays are in it: fc.bias, conv.weight" in told
    assert main(["show", "maps.npy", "--colour", "always", "--width", "40", "-o", "out.png"]) == 0
    assert max(map(len, _colours(capsys.readouterr().out))) <= 40
    assert Image.open("out.png").width > 10
    assert main(["show", "net.safetensors", "fc.bias", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [3]


def test_what_cannot_be_shown_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("maps.npy", np.zeros((2, 2)))
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "maps.npy").read_bytes()[:-8])
    save({"conv.weight": np.ones((1, 1, 3, 3))}, "net.safetensors")
    refused = {
        ("nothing.npy",): "no such file", ("objects.npy",): "is no .npy file that can be read",
        ("cut.npy",): "is no .npy file that can be read", ("maps.npy", "a"): "leave a out",
        ("net.safetensors", "conv.wight"): "did you mean 'conv.weight'?", ("maps.npy", "-o", "maps.npy"): "a .png",
        ("words.txt",): "words.txt",
    }  # fmt: skip
    for arguments, says in refused.items():
        assert main(["show", *arguments]) == 2
        assert says in capsys.readouterr().err
    assert main(["show", "maps.npy", "-o", "out.png"]) == 0
    assert main(["show", "maps.npy", "-o", "out.png"]) == 2
    assert "exists already" in capsys.readouterr().err
    before = (tmp_path / "out.png").read_bytes()
    assert main(["show", "out.png", "-o", "./out.png", "--overwrite"]) == 2
    assert "is the picture itself" in capsys.readouterr().err
    assert (tmp_path / "out.png").read_bytes() == before
    assert main(["show", "maps.npy", "-o", "out.png", "--overwrite"]) == 0


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }".ljust(117) + "\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 and no more", "call it .npz"),
        (b"\x93NUMPY\1\0\x76\0" + b"(" * 117 + b"\n", "a header that is damaged"),
        (b"\x93NUMPY\1\0\x76\0" + HEADER.encode() + bytes(80), "should take 799999999992 bytes, but has 80"),
        (b"\x93NUMPY\1\0", "has a header of"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff", "has a header of"),
        (b"three words only", "is not in NumPy's format"),
        (b"", "is empty"),
    ],
)
def test_what_only_claims_to_be_an_array_is_refused_in_one_line(tmp_path, capsys, content, says):
    path = tmp_path / "maps.npy"
    path.write_bytes(content)
    assert main(["show", str(path)]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert str(path) in told
    assert told.count("\n") == 1


def test_an_archive_under_the_name_of_an_array_is_told_its_own_name(tmp_path, capsys):
    np.savez(tmp_path / "maps.npz", maps=np.ones((2, 2)))
    (tmp_path / "maps.npz").rename(tmp_path / "maps.npy")
    assert main(["show", str(tmp_path / "maps.npy")]) == 2
    assert "is no .npy file but a zip archive; if numpy.savez wrote it, call it .npz" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "|b1", "|u1", ">i2", "<i8", "<u4"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 2)])
def test_arrays_of_every_kind_and_order(tmp_path, capsys, kind, shape):
    array = np.array(np.random.default_rng(2).integers(0, 2, shape), kind, order="F")
    np.save(tmp_path / "array.npy", array)
    assert main(["show", str(tmp_path / "array.npy"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (tuple(told["shape"]), told["dtype"]) == (shape, np.dtype(kind).newbyteorder("=").name)
    assert told["max"] == array.max()
    assert told["mean"] == array.astype(float).mean()
