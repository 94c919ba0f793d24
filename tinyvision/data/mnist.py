"""MNIST and Fashion-MNIST: 28 x 28 grey images in four IDX files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from ..folders import user_path
from ..formats.idx import read_idx
from ..printable import printable
from .dataset import ArrayDataset, Transform

_LARGEST = 30_000_000  # bytes that no file of these sets exceeds, so that a wrong one cannot fill the disk
_PARTS = {
    True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MNIST(ArrayDataset):
    """Handwritten digits (LeCun, Cortes and Burges): uint8 (28, 28, 1), ten classes, 60,000 and 10,000 images.

    root      the folder with the IDX files, gzipped or not, or one that holds them in `raw`, `MNIST` or `MNIST/raw` (as
              torchvision leaves them). Without it: the system's package of the dataset, if there is one, or the cache
              folder
    train     the training images, or the test images
    download  fetch the files that are missing into `root` (or the cache folder), checked against their
              SHA-256

    Raises DataError if a file is missing (the message lists what was looked for), damaged or does not fit its
    companion, DownloadError if one cannot be fetched."""

    names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    folder: ClassVar[str] = "MNIST"
    system_folders: ClassVar[tuple[str, ...]] = ()
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    )
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    }

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        folders = self._folders(root)
        images_path, labels_path = (self._find(part, folders, download) for part in _PARTS[bool(train)])
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3 or images.dtype != "uint8":
            found = f"{images.dtype} {images.shape}"
            raise DataError(f"{printable(images_path)}: images must be uint8 (N, H, W), found {found}")
        super().__init__(images, labels, self.names, transform, name=printable(labels_path))

    @classmethod
    def _folders(cls, root: str | os.PathLike[str] | None) -> list[Path]:
        """Where to look, the place to download to first."""
        if root is None:
            from ..folders import cache_dir

            return [Path(cache_dir()) / cls.folder, *map(Path, cls.system_folders)]
        base = user_path(root)
        return [base, base / "raw", base / cls.folder, base / cls.folder / "raw"]

    @classmethod
    def _find(cls, part: str, folders: list[Path], download: bool) -> Path:
        # Both spellings are in circulation: train-images-idx3-ubyte and train-images.idx3-ubyte.
        for folder in folders:
            for name in (part, part.replace("-idx", ".idx")):
                for path in (folder / f"{name}.gz", folder / name):
                    if path.exists():
                        return path
        if not download:
            raise DataError(
                f"{cls.__name__}: {part}.gz (or {part}) is not in {printable(folders[0])}; "
                f"put the four IDX files there, give their folder as root=..., or pass download=True"
            )
        if part not in cls.sha256:
            raise DataError(
                f"{cls.__name__}: {part}.gz is not in {printable(folders[0])}, and cannot be downloaded: no SHA-256 of "
                f"it is known here. Put the four IDX files there; they are published at {cls.mirrors[0]}"
            )
        from ..formats.download import download as fetch

        urls = [f"{mirror}{part}.gz" for mirror in cls.mirrors]
        return Path(fetch(urls, folders[0] / f"{part}.gz", sha256=cls.sha256[part], at_most=_LARGEST))


class FashionMNIST(MNIST):
    """Pictures of clothes (Xiao, Rasul and Vollgraf, 2017): uint8 (28, 28, 1), ten classes, 60,000 and
    10,000 images.

    Arguments and errors as for MNIST. Without `root`, the files of Debian's package dataset-fashion-mnist
    are found where it installs them."""

    names = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    folder = "FashionMNIST"
    system_folders = ("/usr/share/datasets/fashion-mnist",)
    mirrors = (
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }


class KMNIST(MNIST):
    """Handwritten hiragana (Clanuwat et al., 2018): uint8 (28, 28, 1), ten classes, 60,000 and 10,000 images.

    Arguments and errors as for MNIST, but the files cannot be downloaded: they are published without https, and no
    SHA-256 of them is known here."""

    names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    folder = "KMNIST"
    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    sha256: ClassVar[dict[str, str]] = {}
