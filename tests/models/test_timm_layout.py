"""Files with timm's names: where every layer goes, and, where timm is installed, what the networks then say."""

import json
import warnings

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, weights
from tinyvision.errors import WeightsError
from tinyvision.models.timm_layout import translated

# network -> [(a module of timm's, ours)]: the first and the last of every kind.
PAIRS = {
    "efficientnet_b0": [
        ("conv_stem", "features.0.0"),
        ("bn1", "features.0.1"),
        ("blocks.0.0.conv_dw", "features.1.0.block.0.0"),
        ("blocks.0.0.se.conv_reduce", "features.1.0.block.1.fc1"),
        ("blocks.0.0.conv_pw", "features.1.0.block.2.0"),
        ("blocks.0.0.bn2", "features.1.0.block.2.1"),
        ("blocks.6.0.conv_pw", "features.7.0.block.0.0"),
        ("blocks.6.0.bn2", "features.7.0.block.1.1"),
        ("blocks.6.0.se.conv_expand", "features.7.0.block.2.fc2"),
        ("blocks.6.0.conv_pwl", "features.7.0.block.3.0"),
        ("conv_head", "features.8.0"),
        ("bn2", "features.8.1"),
        ("classifier", "classifier.1"),
    ],
    "mobilenet_v2": [
        ("blocks.0.0.conv_dw", "features.1.conv.0.0"),
        ("blocks.0.0.conv_pw", "features.1.conv.1"),
        ("blocks.0.0.bn2", "features.1.conv.2"),
        ("blocks.1.1.conv_pw", "features.3.conv.0.0"),
        ("blocks.1.1.bn3", "features.3.conv.3"),
        ("conv_head", "features.18.0"),
    ],
    "mobilenet_v3_small": [
        ("blocks.0.0.se.conv_reduce", "features.1.block.1.fc1"),
        ("blocks.1.1.conv_dw", "features.3.block.1.0"),
        ("blocks.5.0.conv", "features.12.0"),
        ("blocks.5.0.bn1", "features.12.1"),
        ("conv_head", "classifier.0"),
        ("classifier", "classifier.3"),
    ],
    "efficientnet_v2_s": [
        ("blocks.0.1.conv", "features.1.1.block.0.0"),
        ("blocks.1.0.conv_exp", "features.2.0.block.0.0"),
        ("blocks.1.0.conv_pwl", "features.2.0.block.1.0"),
        ("blocks.5.14.se.conv_expand", "features.6.14.block.2.fc2"),
    ],
    "efficientnet_lite0": [
        ("bn1", "bn0"),
        ("blocks.0.0.conv_dw", "blocks.0.depthwise_conv"),
        ("blocks.0.0.bn2", "blocks.0.bn2"),
        ("blocks.1.1.conv_pw", "blocks.2.expand_conv"),
        ("blocks.1.1.bn1", "blocks.2.bn0"),
        ("blocks.1.1.conv_pwl", "blocks.2.project_conv"),
        ("bn2", "bn1"),
    ],
    "vgg11": [("features.0", "features.0"), ("pre_logits.fc1", "classifier.0"), ("head.fc", "classifier.6")],
    "convnext_tiny": [
        ("stem.0", "features.0.0"),
        ("stages.1.downsample.0", "features.2.0"),
        ("stages.2.blocks.8.mlp.fc2", "features.5.8.block.5"),
        ("head.norm", "classifier.0"),
        ("head.fc", "classifier.2"),
    ],
}
# network -> what timm calls the one that computes the same
THEIRS = {
    "resnet18": "resnet18",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_v2_s": "efficientnetv2_s",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "convnext_tiny": "convnext_tiny",
}


def blocks_of(network):
    """(stages of timm's, the layers of each of their blocks) as far as numbers and kinds are concerned."""
    inverted, first = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"], ["conv_dw", "bn1", "conv_pw", "bn2"]
    se = ["se.conv_reduce", "se.conv_expand"]
    if network == "mobilenet_v2" or network == "efficientnet_lite0":
        counts = (1, 2, 3, 4, 3, 3, 1) if network == "mobilenet_v2" else (1, 2, 2, 3, 3, 4, 1)
        return [[first if k == 0 else inverted] * count for k, count in enumerate(counts)]
    if network == "efficientnet_b0":
        return [[(first if k == 0 else inverted) + se] * count for k, count in enumerate((1, 2, 2, 3, 3, 4, 1))]
    if network == "mobilenet_v3_small":
        return [[first + se], [inverted] * 2, *([inverted + se] * n for n in (3, 2, 3)), [["conv", "bn1"]]]
    if network == "efficientnet_v2_s":
        fused = ["conv_exp", "bn1", "conv_pwl", "bn2"]
        return [[["conv", "bn1"]] * 2, [fused] * 4, [fused] * 4, *([inverted + se] * n for n in (6, 9, 15))]
    return []


@pytest.mark.parametrize("network", PAIRS)
def test_every_layer_goes_to_its_place(network, tmp_path):
    layers = {f"blocks.{s}.{b}.{layer}" for s, stage in enumerate(blocks_of(network)) for b, block in enumerate(stage)
              for layer in block}  # fmt: skip
    layers |= {theirs for theirs, _ in PAIRS[network]} | ({"conv_stem"} if layers else set())
    state = {f"{layer}.weight": np.float32(k) for k, layer in enumerate(sorted(layers))}
    found, _ = translated(network, state, tmp_path / f"{THEIRS.get(network, network)}.safetensors")
    for theirs, ours in PAIRS[network]:
        assert found[f"{ours}.weight"] == state[f"{theirs}.weight"], (theirs, ours)
    assert len(found) == len(state)


def test_linear_layers_that_are_convolutions_and_scales_without_axes_get_their_shapes(tmp_path):
    state = {"pre_logits.fc1.weight": np.arange(24.0).reshape(2, 3, 2, 2), "head.fc.weight": np.ones((5, 2))}
    found, _ = translated("vgg11", state, tmp_path / "a")
    assert found["classifier.0.weight"].tolist() == np.arange(24.0).reshape(2, 12).tolist()
    found, _ = translated("convnext_tiny", {"stem.0.weight": np.ones(1), "stages.0.blocks.1.gamma": np.ones(3)},
                          tmp_path / "a")  # fmt: skip
    assert found["features.1.1.layer_scale"].shape == (3, 1, 1)


def test_a_network_that_pads_otherwise_is_refused_and_one_of_unknown_padding_too(tmp_path):
    state = {"conv_stem.weight": np.zeros((32, 3, 3, 3), np.float32), "classifier.weight": np.zeros((7, 1280))}
    for name, network, words in [
        ("tf_efficientnet_b0.aa_in1k", "efficientnet_b0", "pads as TensorFlow does"),
        ("efficientnet_lite0.ra_in1k", "efficientnet_lite0", "pads as PyTorch does.*tf_efficientnet_lite0"),
        ("tf_mobilenetv3_large_100", "mobilenet_v3_large", "take timm's mobilenetv3_large_100"),
        ("model", "efficientnet_b0", r"call the file by its network \(efficientnet_b0.safetensors\)"),
    ]:
        path = tmp_path / f"{name}.safetensors"
        weights.save(state, path)
        with pytest.raises(WeightsError, match=words):
            models.get_model(network, weights=path)


def test_the_config_beside_a_file_says_which_network_it_is(tmp_path):
    state = {"conv_stem.weight": np.zeros(1)}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "tf_efficientnet_b0"}))
    with pytest.raises(WeightsError, match="pads as TensorFlow does"):
        translated("efficientnet_b0", state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "efficientnet_b0"}))
    assert translated("efficientnet_b0", state, tmp_path / "model.safetensors")[1] == 1e-5
    for damaged in ("[]", "{", "[" * 5000, '{"architecture": 3}'):
        (tmp_path / "config.json").write_text(damaged)
        with pytest.raises(WeightsError, match="call the file by its network"):
            translated("efficientnet_b0", state, tmp_path / "model.safetensors")


@pytest.mark.parametrize("network", THEIRS)
def test_the_network_says_what_timm_says(network, tmp_path):
    from torchvision_oracle import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model(THEIRS[network], pretrained=False, num_classes=7).eval()
    rng = np.random.default_rng(0)
    for name, value in theirs.state_dict().items():
        if value.ndim == 1:
            drawn = rng.uniform(0.5, 1.5, value.shape) if "var" in name else rng.normal(0, 0.1, value.shape)
            value.copy_(torch.from_numpy(drawn + (name.endswith(("weight", "gamma")))))
    path = tmp_path / f"{THEIRS[network]}.safetensors"
    weights.save({name: value.numpy() for name, value in theirs.state_dict().items()}, path)
    ours = models.get_model(network, weights=path).double().eval()
    x = rng.standard_normal((2, 3, 224 if "vgg" in network else 65, 224 if "vgg" in network else 65))
    with torch.no_grad(), tv.no_grad():
        wanted, found = theirs.double()(torch.from_numpy(x)).numpy(), ours(tv.tensor(x)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * abs(wanted).max())
