"""The import path of torchvision.io, and nothing behind it: pictures are read by Pillow here."""

from typing import TYPE_CHECKING

from ..missing import missing

__all__ = ()

_READ = "transforms.PILToTensor()(PIL.Image.open(path)), or tinyvision.data.read_image(path), which is (H, W, 3)"
_VIDEO = "it is for videos, and tinyvision is for images"

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.io",
        __all__,
        {
            **dict.fromkeys(("ImageReadMode", "decode_gif", "decode_image", "decode_jpeg", "decode_png"), _READ),
            **dict.fromkeys(("read_file", "read_image", "decode_webp"), _READ),
            **dict.fromkeys(
                ("encode_jpeg", "encode_png", "write_file"), "torchvision.utils.save_image writes pictures"
            ),
            **dict.fromkeys(("write_jpeg", "write_png"), "torchvision.utils.save_image writes pictures"),
            "image": _READ,
            **dict.fromkeys(("VideoReader", "video", "read_video", "read_video_timestamps", "write_video"), _VIDEO),
        },
    )
