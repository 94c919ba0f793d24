"""torch.onnx.export's spelling of export."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError

onnx = pytest.importorskip("onnx")


def test_arguments_as_scripts_give_them(tmp_path):
    model, x, path = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), tv.randn(4, 3), tmp_path / "m.onnx"
    axes = {"image": {0: "batch"}, "scores": [0]}
    tv.onnx.export(model, (x,), path, input_names=["image"], output_names=["scores"], dynamic_axes=axes, verbose=True)
    graph = onnx.load(path).graph
    assert [graph.input[0].name, graph.output[0].name] == ["image", "scores"]
    again = tv.models.from_onnx(path)
    np.testing.assert_allclose(again(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"opset_version": 11}, "opset 20"),
        ({"input_names": "image"}, "a list of one name"),
        ({"output_names": ["a", "b"]}, "a list of one name"),
        ({"dynamic_axes": {"input": {0: "batch", 2: "height"}}}, "only the batch"),
        ({"export_params": False}, "always written"),
        ({"training": True}, "evaluation mode"),
    ],
)
def test_what_is_refused(tmp_path, options, said):
    with pytest.raises(OptionError, match=said):
        tv.onnx.export(nn.Linear(3, 2), tv.randn(4, 3), tmp_path / "m.onnx", **options)
    with pytest.raises(OptionError, match="one input"):
        tv.onnx.export(nn.Linear(3, 2), (tv.randn(4, 3), tv.randn(4, 3)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
