"""State dicts with timm's names: where each layer of timm's stands in the network of the same shape here.

ResNet, ResNeXt, Wide ResNet, DenseNet and Inception have torchvision's names there, too. The others are translated:

    timm                                      here
    conv_stem, bn1, conv_head, bn2            features.0.0, features.0.1, features.8.0, features.8.1
    blocks.1.0.conv_dw, blocks.1.0.bn2        features.2.0.block.1.0, features.2.0.block.1.1
    stages.1.blocks.0.mlp.fc1                 features.3.0.block.3
    pre_logits.fc1, head.fc                   classifier.0, classifier.6

Names say neither how a convolution pads nor the eps of a batch-norm. timm's networks called `tf_...` pad as TensorFlow
does; which kind a file is of, its name or the config.json beside it has to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError, WeightsError
from ..formats.source import read_bytes

_MAX_CONFIG = 1 << 20  # bytes

# network's beginning -> (a layer that only timm's layout has, {layer there: layer here})
_LAYERS = {
    "efficientnet_lite": (
        "conv_stem",
        {"conv_stem": "conv_stem", "bn1": "bn0", "conv_head": "conv_head", "bn2": "bn1", "classifier": "fc"},
    ),
    "efficientnet": (
        "conv_stem",
        {
            "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.{last}.0",
            "bn2": "features.{last}.1", "classifier": "classifier.1",
        },
    ),
    "mobilenet_v2": (
        "conv_stem",
        {
            "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.{last}.0",
            "bn2": "features.{last}.1", "classifier": "classifier.1",
        },
    ),
    "mobilenet_v3": (
        "conv_stem",
        {
            "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "classifier.0",
            "classifier": "classifier.3",
        },
    ),
    "vgg": (
        "pre_logits.fc1",
        {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"},
    ),
    "convnext": (
        "stem.0",
        {
            "stem.0": "features.0.0", "stem.1": "features.0.1", "head.norm": "classifier.0", "head.fc": "classifier.2",
        },
    ),
}  # fmt: skip

# (two layers that only such a block has, its layers in the order in which they come); "se" is there or not
_BLOCKS = (
    ("conv_pwl", "conv_exp", [("conv_exp", "bn1"), ("conv_pwl", "bn2")]),
    ("conv_pwl", "conv_dw", [("conv_pw", "bn1"), ("conv_dw", "bn2"), "se", ("conv_pwl", "bn3")]),
    ("conv_pw", "conv_dw", [("conv_dw", "bn1"), "se", ("conv_pw", "bn2")]),
    ("conv", "bn1", [("conv", "bn1")]),
)
_LITE = {"conv_pw": "expand_conv", "conv_dw": "depthwise_conv", "conv_pwl": "project_conv"}
_CONVNEXT = {"conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5"}
_PADDED_BY_NAME = ("efficientnet", "mobilenet_v3")  # networks that timm has with both kinds of padding


def translated(network: str, state: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], float | None]:
    """(a file's arrays under the names of `network` here, the eps of its batch-norms where it is another one).

    What has no timm names is handed on. Raises WeightsError for a network that pads in another way than ours, or if
    neither the name of the file nor a config.json beside it says how it pads."""
    family = next((beginning for beginning in _LAYERS if network.startswith(beginning)), None)
    if family is None or f"{_LAYERS[family][0]}.weight" not in state:
        return dict(state), None
    if family.startswith("efficientnet_lite") and "bn0.weight" in state:
        return dict(state), None  # the layout of our own
    ours = network.startswith(_PADDED_BY_NAME)
    if ours:
        _require_padding(network, path)
    places = _places(family, state)
    renamed = {}
    for name, value in state.items():
        layer, _, part = name.rpartition(".")
        if family == "convnext" and part == "gamma":
            renamed[f"{places[layer]}.layer_scale"] = value.reshape(-1, 1, 1)
            continue
        place = places.get(layer, layer)
        # A 1x1 convolution of one pixel, or a convolution as large as its image, is a linear layer here.
        is_linear = place.startswith("classifier") and part == "weight" and value.ndim == 4
        renamed[f"{place}.{part}"] = value.reshape(len(value), -1) if is_linear else value
    return renamed, 1e-5 if ours and family != "efficientnet_lite" else None


def _require_padding(network, path):
    """Raise WeightsError unless the network's name in timm is known, and that of one that pads like ours."""
    architecture, wanted = _architecture(path), network.startswith("efficientnet_lite")
    known = re.match(r"(tf_)?(efficientnet|mobilenetv3)", architecture)
    example = f"tf_{network}" if wanted else network.replace("_v", "v") + "_100" * network.startswith("mobilenet")
    if known is None:
        raise WeightsError(
            f"the names in it are timm's, which has networks of the same names that pad in two ways; call the file by "
            f"its network ({example}.safetensors), or put timm's config.json beside it"
        )
    if (known[1] is not None) != wanted:
        how = "as PyTorch does" if wanted else "as TensorFlow does"
        raise WeightsError(f"timm's {known[0]}... pads {how}, and {network} here does not; take timm's {example}")


def _architecture(path):
    """What the file says its network is called in timm: the config.json beside it, or its own name."""
    beside = path.parent / "config.json"
    if beside.is_file():
        try:
            said = json.loads(read_bytes(beside, _MAX_CONFIG)[0])["architecture"]
            if isinstance(said, str):
                return said
        except (ValueError, KeyError, TypeError, RecursionError, DataError):
            pass  # a config.json of something else: then the name has to say it
    return path.name


def _places(family, state):
    """{layer there: layer here} of all layers that are called otherwise."""
    layers = {name.rpartition(".")[0] for name in state}
    if family == "convnext":
        return dict(_LAYERS[family][1]) | {layer: _convnext_place(layer) for layer in layers if layer[:6] == "stages"}
    blocks: dict[tuple[int, int], set[str]] = {}
    for layer in layers:
        found = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", layer)
        if found:
            blocks.setdefault((int(found[1]), int(found[2])), set()).add(found[3])
    places = {}
    for flat, (stage, k) in enumerate(sorted(blocks)):
        there = f"blocks.{stage}.{k}"
        places.update({f"{there}.{a}": b for a, b in _block_places(family, blocks[stage, k], (stage, k), flat).items()})
    stages = 1 + max((stage for stage, _ in blocks), default=0)
    last = len(blocks) + 1 if family == "mobilenet_v2" else stages + 1
    return places | {there: here.format(last=last) for there, here in _LAYERS[family][1].items()}


def _block_places(family, layers, number, flat):
    """{layer of a block there: layer here}"""
    order = next((parts for one, other, parts in _BLOCKS if one in layers and other in layers), [])
    parts = [p for p in order if (p == "se" and "se.conv_reduce" in layers) or p[0] in layers]
    if family == "efficientnet_lite":
        expands = ("conv_pw", "bn1") in parts
        found = {}
        for norm, (conv, bn) in enumerate(parts, start=0 if expands else 1):
            here = "project_conv" if (conv, bn) == parts[-1] else _LITE[conv]
            found |= {conv: f"blocks.{flat}.{here}", bn: f"blocks.{flat}.bn{norm}"}
        return found
    stage, k = number
    home = {"efficientnet": f"features.{stage + 1}.{k}.block", "mobilenet_v2": f"features.{flat + 1}.conv"}.get(
        family, f"features.{flat + 1}.block"
    )
    if family == "mobilenet_v3" and order is _BLOCKS[-1][2]:
        return {"conv": f"features.{flat + 1}.0", "bn1": f"features.{flat + 1}.1"}  # the last, and no block here
    found = {}
    for place, part in enumerate(parts):
        if part == "se":
            found |= {"se.conv_reduce": f"{home}.{place}.fc1", "se.conv_expand": f"{home}.{place}.fc2"}
        elif family == "mobilenet_v2" and part is parts[-1]:
            found |= {part[0]: f"{home}.{place}", part[1]: f"{home}.{place + 1}"}
        else:
            found |= {part[0]: f"{home}.{place}.0", part[1]: f"{home}.{place}.1"}
    return found


def _convnext_place(layer):
    """stages.1.blocks.0.norm -> features.3.0.block.2; stages.1.downsample.0 -> features.2.0"""
    found = re.fullmatch(r"stages\.(\d+)\.(?:downsample\.(\d+)|blocks\.(\d+)(?:\.(.+))?)", layer)
    if found is None:
        return layer
    stage = int(found[1])
    if found[2] is not None:
        return f"features.{2 * stage}.{found[2]}"
    home = f"features.{2 * stage + 1}.{found[3]}"
    return home if found[4] is None else f"{home}.{_CONVNEXT.get(found[4], found[4])}"
