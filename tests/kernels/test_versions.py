"""Every fast kernel stands beside a simple one; where there is one version only, the text says why."""

import re

import pytest

from tinyvision.kernels import launch
from tinyvision.kernels.emulator import kernel_names

from .test_compile import TEXTS

# simple version -> the fast kernels (steps of one computation, or variants) that compute the same
BESIDE = {
    "activation": {},
    "adam": {"adam_simple": "adam_step"},
    "clip": {"clip_simple": "clip_(squares|joined|scaled)"},
    "conv": {
        "correlate_simple": "correlate_(fp32|tf32)_(64|128)",
        "weight_gradient_simple": "weight_gradient_(fp32|tf32)_(64|128)|add_splits",
    },
    "depthwise": {
        "depthwise_forward_simple": "depthwise_(forward|measured)_[35]_[12]",
        "depthwise_image_gradient_simple": "depthwise_image_gradient_[35]_[12]",
        "depthwise_weight_gradient_simple": "depthwise_weight_gradient_([35]_[12]|any)|depthwise_add_parts",
    },
    "dropout": {},
    "halves": {},
    "loss": {"cross_entropy_simple": "cross_entropy_(rows|pixels)"},
    "norm": {
        "batchnorm_forward_simple": "moments_of_chunks(_four)?|moments_joined|normalize(_four)?",
        "batchnorm_backward_simple": "gradient_sums_of_chunks(_four)?|gradient_sums_joined|gradient_applied(_four)?",
    },
    "pool": {
        "max_pool_forward": "max_pool_forward_four",
        "max_pool_backward_simple": "max_pool_backward(_four)?",
        "avg_pool_backward_simple": "avg_pool_backward",
        "col2im_simple": "col2im_gather",
    },
    "sgd": {"sgd_simple": "sgd_step"},
    "tensor_cores": {
        "correlate_simple": "correlate_w?g?mma_.*",
        "weight_gradient_simple": "weight_gradient_w?g?mma_.*",
    },
    "winograd": {f"winograd_{what}_simple": f"winograd_{what}(_measured)?" for what in ("image", "kernel", "output")},
}

SIMPLE_IN = {"tensor_cores": "conv"}  # whose simple versions are in another text


def alone(text):
    """The kernels whose comment says that one version is enough."""
    return re.findall(r"One version(?:.*\n//)*.*\nextern \"C\" __global__ void (\w+)\(", text)


@pytest.mark.parametrize("name", TEXTS)
def test_simple_beside_fast(name):
    text = launch.text(name)
    kernels, pairs, single = set(kernel_names(text)), BESIDE[name], alone(text)
    fast = [{k for k in kernels if re.fullmatch(pattern, k)} for pattern in pairs.values()]
    assert all(fast), "a simple version has no fast one"
    simple = set(pairs) if name not in SIMPLE_IN else set()
    assert set(pairs) <= set(kernel_names(launch.text(SIMPLE_IN.get(name, name))))
    assert sum(map(len, (*fast, simple, single))) == len(kernels), "a kernel is in no pair, or in two"
    assert set().union(*fast, simple, single) == kernels


@pytest.mark.parametrize("name", TEXTS)
def test_the_note_predicts_and_tells_what_was_measured_and_where(name):
    note = " ".join(line.strip("/ ") for line in launch.text(name).partition("\nstruct")[0].splitlines())
    assert "Prediction (H100" in note
    assert re.search(r"Measurement(: not yet measured| \(H\d00\b)", note)
