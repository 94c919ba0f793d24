"""No bytes whatsoever make a reader do anything but return an array or raise a one-line DataError."""

import gzip
import os
import time

import numpy as np
import pytest

from tinyvision.data import read_cifar, read_idx, read_image, read_npz
from tinyvision.errors import DataError
from tinyvision.tasks.masks import read_levels, read_mask

from . import hostile_data as h

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "2000"))
IDX = h.idx_bytes(np.arange(2 * 5 * 4, dtype="i2").reshape(2, 5, 4))
NPZ = h.npz_bytes(images=np.zeros((3, 4, 4), "u1"), labels=np.arange(3), classes=np.array(["a", "bc"]))
SMALL = h.picture()
WIDE = SMALL[:, :, 0].astype("u2") * 257

KINDS = {
    "idx": (read_idx, IDX, h.mutate),
    "idx.gz": (read_idx, gzip.compress(IDX), h.mutate),
    "idx.gz, repacked": (read_idx, gzip.compress(IDX), h.mutate_gzip),
    "cifar binary": (read_cifar, h.cifar_binary(2)[0], h.mutate),
    "cifar pickle": (read_cifar, h.cifar_pickle(2)[0], h.mutate),
    "cifar-100 pickle": (read_cifar, h.cifar_pickle(1, 100)[0], h.mutate),
    "cifar python tar.gz": (read_cifar, h.tar_bytes(h.cifar10_members("python", 1)), h.mutate_tar),
    "cifar binary tar": (read_cifar, h.tar_bytes(h.cifar10_members("binary", 1), compress=False), h.mutate),
    "npz": (read_npz, NPZ, h.mutate),
    "npz, repacked": (read_npz, NPZ, h.mutate_npz),
    "png, repaired": (read_image, h.encode(SMALL, "PNG"), h.mutate_png),
    "mask, png, repaired": (read_mask, h.encode(SMALL[:, :, 0], "PNG"), h.mutate_png),
    "mask, tiff": (read_mask, h.encode(SMALL[:, :, 0], "TIFF"), h.mutate),
    "mask, gif": (read_mask, h.encode(SMALL[:, :, 0], "GIF"), h.mutate),
    "16 bits, png, repaired": (read_levels, h.encode(WIDE, "PNG"), h.mutate_png),
    "16 bits, tiff": (read_levels, h.encode(WIDE, "TIFF"), h.mutate),
    **{
        kind: (read_image, h.encode(SMALL, name, **options), h.mutate)
        for kind, (name, options) in h.IMAGE_KINDS.items()
    },
}


# Pillow warns of broken EXIF data and of large sizes on its way to an error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore:Image size:Warning")


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused(kind):
    reader, seed, mutation = KINDS[kind]
    reader(seed)
    rng = np.random.default_rng(sum(kind.encode()))
    refused = 0
    for number in range(MUTANTS):
        data = mutation(seed, rng)
        start = time.process_time()
        try:
            reader(data)
        except DataError as error:
            refused += 1
            message = str(error)
            assert message.startswith("<bytes>: "), message
            assert message.isprintable(), message
            assert len(message) <= 300, message
        # The longest that a refusal may take is 5 s, on any machine; these files are tiny.
        assert time.process_time() - start < 5, f"mutant {number} of {kind}"
    assert refused > MUTANTS // 20, "hardly anything was refused: the mutants do not reach what is checked"


@pytest.mark.parametrize("reader", [read_idx, read_cifar, read_npz, read_image])
def test_noise_is_refused(reader):
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 4, 8, 16, 100, 512, 600, 5000):
        for head in (
            b"",
            b"\x1f\x8b\x08",
            b"PK\x03\x04",
            b"\x80\x02",
            b"\xff\xd8\xff",
            b"\0\0\x08\x03",
            b"GIF89a",
            b"II*\0",
        ):
            with pytest.raises(DataError):
                reader((head + rng.bytes(size))[:size])
