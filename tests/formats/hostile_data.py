"""Well-formed small files of every kind, and ways to break them that leave the rest intact."""

import gzip
import io
import pickle
import struct
import tarfile
import zlib

import numpy as np
from PIL import Image

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def idx_bytes(array):
    """`array` as an IDX file."""
    code = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def cifar_binary(count, classes=10, seed=0):
    """(file, images, fine labels) of a binary CIFAR batch."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    fine = rng.integers(0, classes, (count, 1), dtype=np.uint8)
    coarse = fine // 5 if classes == 100 else fine[:, :0]
    return (
        np.hstack([coarse, fine, planes]).tobytes(),
        planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1),
        fine[:, 0],
    )


def _short(text):
    return b"U" + bytes([len(text)]) + text


def cifar_pickle(count, classes=10, seed=0):
    """(file, images, fine labels) of a batch as Python 2 and NumPy 1 wrote it, opcode by opcode."""
    _, images, fine = cifar_binary(count, classes, seed)
    raw = images.transpose(0, 3, 1, 2).tobytes()
    array = (
        (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _short(b"b") + b"\x87R"
            b"(K\x01M" + struct.pack("<H", count) + b"M\x00\x0c\x86cnumpy\ndtype\n" + _short(b"u1") + b"K\x00K\x01\x87R"
            b"(K\x03"
            + _short(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
            + struct.pack("<I", len(raw))
        )
        + raw
        + b"tb"
    )

    def numbers(values):
        return b"](" + b"".join(b"K" + bytes([v]) for v in values) + b"e"

    names = [b"labels"] if classes == 10 else [b"fine_labels", b"coarse_labels"]
    entries = _short(b"batch_label") + _short(b"training batch 1 of 5")
    for name in names:
        entries += _short(name) + numbers(fine // 5 if name.startswith(b"coarse") else fine)
    entries += _short(b"data") + array + _short(b"filenames") + b"](" + _short(b"leptodactylus.png") * count + b"e"
    return b"\x80\x02}(" + entries + b"u.", images, fine


def tar_bytes(members, compress=True):
    """A tar archive of {name: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 1) if compress else out.getvalue()


def cifar10_members(version, count=2):
    """{member: bytes} of a CIFAR-10 archive, "python" or "binary"."""
    make, folder, suffix = {
        "python": (cifar_pickle, "cifar-10-batches-py", ""),
        "binary": (cifar_binary, "cifar-10-batches-bin", ".bin"),
    }[version]
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {f"{folder}/{name}{suffix}": make(count, seed=i)[0] for i, name in enumerate(names)}


def npz_bytes(compressed=True, **arrays):
    """`arrays` as an .npz file."""
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def picture(height=12, width=17, seed=0):
    """uint8 (H, W, 3) with smooth and rough parts."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([x * 12 % 256, y * 17 % 256, (x + y) * 7 % 256], -1)
    return np.clip(smooth + rng.integers(-20, 20, smooth.shape), 0, 255).astype(np.uint8)


def encode(image, kind, **options):
    """A Pillow image or an array as the bytes of a file."""
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


IMAGE_KINDS = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True, "subsampling": 0}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "deflate tiff": ("TIFF", {"compression": "tiff_deflate"}),
    "ppm": ("PPM", {}),
}


def png_chunk(kind, body):
    """One chunk of a PNG file with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bytes(width, height, pixels, depth=8, colour=2, interlace=0):
    """A PNG file with these (possibly false) sizes around the filtered `pixels`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def mutate(data, rng):
    """`data` with one to four small damages: flipped bits, extreme numbers, cuts, copies, insertions."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        at = int(rng.integers(len(data))) if rng.random() < 0.5 else int(rng.integers(min(len(data), 200)))
        match rng.integers(7):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at] = int(rng.integers(256))
            case 2:
                value = EXTREMES[rng.integers(len(EXTREMES))]
                order = ("little", "big")[rng.integers(2)]
                size = int(rng.choice([1, 2, 4, 8]))
                data[at : at + size] = (value & (256**size - 1)).to_bytes(size, order)
            case 3:
                del data[at : at + int(rng.integers(1, 30))]
            case 4:
                data[at:at] = data[at : at + int(rng.integers(1, 60))]
            case 5:
                data[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 6:
                del data[max(at, len(data) - int(rng.integers(1, 400))) :]
    return bytes(data)


def mutate_gzip(data, rng):
    """Damage inside of a gzip file, whose checksum is then right again."""
    return gzip.compress(mutate(gzip.decompress(data), rng), 1)


def mutate_tar(data, rng):
    """Damage inside of a .tar.gz whose header checksums are right again, so that it reaches the members."""
    packed = bytearray(mutate(gzip.decompress(data), rng))
    for at in range(0, len(packed) - 512, 512):
        if packed[at + 257 : at + 262] == b"ustar":
            total = sum(packed[at : at + 512]) - sum(packed[at + 148 : at + 156]) + 8 * 32
            packed[at + 148 : at + 156] = b"%06o\0 " % total
    return gzip.compress(bytes(packed), 1)


def mutate_png(data, rng):
    """Damage inside of one PNG chunk whose length and checksum are right again; pixel data is packed anew."""
    chunks, position = [], 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks.append([kind, data[position + 8 : position + 8 + length]])
        position += 12 + length
    chosen = chunks[rng.integers(len(chunks))]
    if chosen[0] == b"IDAT" and rng.random() < 0.7:
        chosen[1] = zlib.compress(mutate(zlib.decompress(chosen[1]), rng))
    else:
        chosen[1] = mutate(chosen[1], rng)
    if rng.random() < 0.2:
        chunks.insert(int(rng.integers(len(chunks))), chunks[rng.integers(len(chunks))])
    return data[:8] + b"".join(png_chunk(kind, body) for kind, body in chunks)


def mutate_npz(data, rng):
    """Damage inside of one array of an .npz archive, whose checksums are then right again."""
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = rng.integers(len(old.namelist()))
        for number, name in enumerate(old.namelist()):
            body = old.read(name)
            new.writestr(name, mutate(body, rng) if number == chosen else body)
    return out.getvalue()


def evil_pickle(canary):
    """A pickle that would write the file `canary` if anyone ran it."""

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(canary)!r}, 'w').close()",))

    return pickle.dumps(Evil(), protocol=2)
