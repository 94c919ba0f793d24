"""torchvision's place for what is in `tinyvision.data.archives`."""

from typing import TYPE_CHECKING

from ...data.archives import (
    calculate_md5,
    check_integrity,
    check_md5,
    download_and_extract_archive,
    download_url,
    extract_archive,
    iterable_to_str,
    list_dir,
    list_files,
    verify_str_arg,
)
from ...missing import missing

__all__ = [
    "calculate_md5", "check_integrity", "check_md5", "download_and_extract_archive", "download_url", "extract_archive",
    "iterable_to_str", "list_dir", "list_files", "verify_str_arg",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.datasets.utils",
        __all__,
        {"download_file_from_google_drive": "fetch the file yourself; extract_archive unpacks it"},
    )
