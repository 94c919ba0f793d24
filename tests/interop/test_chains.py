"""What a file's layers compute together is what they compute one by one."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models
from tinyvision.interop import chains
from tinyvision.interop.chains import Role, Step, plan

CONV, NORM, ADD, MUL, SAME = (Role(kind) for kind in ("conv", "norm", "add", "mul", "same"))
RELU, SIGMOID, LINEAR = (Role("act", name) for name in ("relu", "sigmoid", "linear"))
PAD = Role("pad", borders=(0, 0, 1, 1))


def parts(text, outputs):
    """The plan for lines such as `y = CONV x`, as tuples of line numbers; x and z come in, w is the file's."""
    steps = []
    for line in text.strip().splitlines():
        made, _, rest = line.strip().partition(" = ")
        role, *taken = rest.split()
        steps.append(Step(tuple(taken), tuple(made.split(",")), globals().get(role)))
    return [(part.steps, part.skip, part.activation) for part in plan(steps, ["x", "z"], outputs.split())]


def test_a_residual_block_is_two_chains():
    text = """a = CONV x w
        b = NORM a
        c = RELU b
        d = CONV c w
        e = NORM d
        f = CONV x w
        g = NORM f
        h = ADD e g
        i = RELU h"""
    assert parts(text, "i") == [((0, 1, 2), None, "relu"), ((5, 6), None, None), ((3, 4, 7, 8), "g", "relu")]


@pytest.mark.parametrize(
    ("text", "outputs", "expected"),
    [
        ("a = CONV x w\nb = RELU a", "b", [((0, 1), None, "relu")]),
        ("a = CONV x w\nb = RELU a", "a b", [((0,), None, None), ((1,), None, None)]),  # somebody wants what is between
        ("a = CONV x w\nb = RELU a\nc = OTHER a", "b c", [((0,), None, None), ((1,), None, None), ((2,), None, None)]),
        ("p = PAD x\na = CONV p w\nb = SAME a\nc = RELU b", "c", [((0, 1, 2, 3), None, "relu")]),
        ("p = PAD x\na = CONV p w\nb = CONV p w", "a b", [((0,), None, None), ((1,), None, None), ((2,), None, None)]),
        ("a = CONV x w\nb = LINEAR a\nc = RELU b", "c", [((0, 1), None, None), ((2,), None, None)]),
        ("a = CONV x w\nb = SIGMOID a\nc = MUL b a", "c", [((0, 1, 2), None, "silu")]),
        (
            "a = CONV x w\nb = SIGMOID a\nc = MUL a b",
            "b c",
            [((0,), None, None), ((1,), None, None), ((2,), None, None)],
        ),
        ("a = CONV x w\nb = SIGMOID a\nc = MUL b z", "c", [((0, 1), None, "sigmoid"), ((2,), None, None)]),
        ("a = CONV x w\nb = ADD a w", "b", [((0,), None, None), ((1,), None, None)]),  # a bias of the file's
        ("a = CONV x w\nb = ADD a a", "b", [((0,), None, None), ((1,), None, None)]),
        ("a = CONV x w\nb = ADD z a\nc = ADD b z", "c", [((0, 1), "z", None), ((2,), None, None)]),
        ("a = CONV x w\nb = ADD a z\nc = NORM b", "c", [((0, 1), "z", None), ((2,), None, None)]),
        ("a = CONV x w\na = RELU a", "a", [((0,), None, None), ((1,), None, None)]),  # as a file may say
    ],
)
def test_a_chain_ends_where_somebody_else_looks(text, outputs, expected):
    assert parts(text, outputs) == expected


# -- files


ACTIVATIONS = {
    "none": "",
    "Relu": "{y} = Relu({x})",
    "Clip": "{y} = Clip({x}, zero, six)",
    "Clip from 0": "{y} = Clip({x}, zero)",
    "Clip to 5": "{y} = Clip({x}, zero, five)",
    "HardSwish": "{y} = HardSwish({x})",
    "SiLU": "g = Sigmoid({x})\n{y} = Mul({x}, g)",
    "hardswish": "g = HardSigmoid<alpha = 0.16666667, beta = 0.5>({x})\n{y} = Mul(g, {x})",
    "HardSigmoid": "{y} = HardSigmoid<alpha = 0.2, beta = 0.5>({x})",
    "Sigmoid": "{y} = Sigmoid({x})",
}


def network(path, rng, activation, conv="strides = [2, 2], pads = [0, 1, 1, 2]", norm=True, skip=True, group=1):
    """A convolution with what may stand behind it, written by ONNX's own package."""
    onnx = pytest.importorskip("onnx")
    lines, value = [f"a = Conv<{conv}, group = {group}>(x, weight, bias)"], "a"
    if norm:
        lines, value = [*lines, f"b = BatchNormalization<epsilon = 0.01>({value}, scale, shift, mean, var)"], "b"
    if skip:
        lines, value = [*lines, f"c = Add(z, {value})"], "c"
    if ACTIVATIONS[activation]:
        lines, value = [*lines, *ACTIVATIONS[activation].format(x=value, y="d").split("\n")], "d"
    lines.append(f"y = Neg({value})")
    body = "\n".join(lines)
    ends = "(float[N, 8, H, W] x, float[N, 8, h, w] z) => (float[N, 8, h, w] y)"
    text = f'<ir_version: 8, opset_import: ["" : 18]> net {ends} {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    arrays = {"weight": rng.standard_normal((8, 8 // group, 3, 3)), "zero": 0, "six": 6, "five": 5}
    arrays |= {name: rng.standard_normal(8) for name in ("bias", "scale", "shift", "mean")} | {
        "var": rng.random(8) + 0.5
    }
    for name, array in arrays.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array, np.float32), name))
    onnx.save(proto, path)
    return models.from_onnx(path)


def both(model, *inputs):
    """(what the layers give together, what they give one by one, how often they were computed together)"""
    with pytest.MonkeyPatch.context() as patch, tv.no_grad():
        calls = []
        patch.setattr(chains, "finished", lambda *a, of=chains.finished: calls.append(of(*a)) or calls[-1])
        together = model(*inputs).numpy()
        count = sum(result is not None for result in calls)
        seen = []
        handles = [
            m.register_forward_hook(lambda *call: seen.append(call[0])) for m in model.modules() if m is not model
        ]
        apart = model(*inputs).numpy()
        for handle in handles:
            handle.remove()
        assert len(calls) == count, "the watched layers were expected to be called one by one"
    return together, apart, count, seen


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_onnx_together_is_one_by_one(activation, skip, norm, tmp_path, rng):
    model = network(tmp_path / "net.onnx", rng, activation, norm=norm, skip=skip).eval()
    x, z = (tv.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 8, 9, 10), (2, 8, 4, 6)))
    together, apart, count, seen = both(model, x, z)
    # float32: sums of 72 terms of size about 1, and a batch-norm as one scale and one shift
    np.testing.assert_allclose(together, apart, rtol=0, atol=2e-6 * np.abs(apart).max())
    alone = not norm and not skip and activation in ("none", "Clip to 5", "HardSigmoid")
    assert count == (0 if alone else 1)
    assert len(seen) == len(model.anatomy().nodes), "hooks see every node"


@pytest.mark.parametrize(
    ("conv", "count"),
    [
        ("pads = [1, 1, 1, 1]", 1),
        ('auto_pad = "SAME_UPPER", strides = [2, 2]', 1),
        ('auto_pad = "SAME_LOWER", strides = [2, 2]', 0),  # more zeros above than below
        ("pads = [0, 0, 2, 2], dilations = [2, 2]", 1),
        ("pads = [1, 1, 1, 1], strides = [1, 2]", 1),
    ],
)
@pytest.mark.parametrize("group", [1, 2, 8])
def test_onnx_with_any_padding(group, conv, count, tmp_path, rng):
    model = network(tmp_path / "net.onnx", rng, "SiLU", conv, skip=False, group=group).eval()
    x = tv.tensor(rng.standard_normal((2, 8, 10, 8)).astype(np.float32))
    together, apart, found, _ = both(model, x, x)
    np.testing.assert_allclose(together, apart, rtol=0, atol=2e-6 * np.abs(apart).max())  # as above
    assert found == count


def test_what_is_recorded_or_trains_is_computed_layer_by_layer(tmp_path, rng):
    model = network(tmp_path / "net.onnx", rng, "Relu")
    x, z = (tv.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 8, 9, 10), (2, 8, 4, 6)))
    before = model.mean.numpy().copy()
    with tv.no_grad():
        model(x, z)
    assert not np.array_equal(model.mean.numpy(), before), "in training the running statistics move"
    model.eval()
    recorded = model(x, z)
    recorded.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with tv.no_grad():
        np.testing.assert_allclose(model(x, z).numpy(), recorded.detach().numpy(), rtol=0, atol=2e-5)


def test_a_skip_path_that_is_repeated_is_added_by_itself(tmp_path, rng):
    model = network(tmp_path / "net.onnx", rng, "Relu").eval()
    x, z = (tv.tensor(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 8, 9, 10), (2, 8, 1, 1)))
    together, apart, count, _ = both(model, x, z)
    np.testing.assert_array_equal(together, apart)
    assert count == 0
    with tv.no_grad(), pytest.raises(tv.ShapeError, match="add: "):
        model(x, tv.zeros(2, 8, 5, 5))


def test_keras_together_is_one_by_one(tmp_path, rng, monkeypatch):
    keras = pytest.importorskip("tinyvision.interop.keras_export").package()
    L = keras.layers
    x = start = L.Input((9, 10, 6))
    x = L.ZeroPadding2D(((0, 1), (1, 1)))(x)
    x = L.Conv2D(12, 3, strides=2, use_bias=False)(x)
    x = L.BatchNormalization(epsilon=0.01)(x)
    x = first = L.ReLU(max_value=6.0)(x)
    x = L.DepthwiseConv2D(3, padding="same", activation="silu")(x)
    x = L.SeparableConv2D(12, 3, padding="same")(x)
    x = L.BatchNormalization()(x)
    x = L.Dropout(0.5)(x)
    x = L.Add()([first, x])
    x = L.Activation("hard_swish")(x)
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="sigmoid")(x)
    theirs = keras.Model(start, x)
    for v in theirs.variables:
        if "seed" not in v.path:
            v.assign(rng.uniform(0.5, 1.5, v.shape) if "variance" in v.path else rng.standard_normal(v.shape) / 2)
    theirs.save(tmp_path / "net.keras")
    model, pictures = (
        models.from_keras(tmp_path / "net.keras").eval(),
        rng.standard_normal((3, 9, 10, 6)).astype(np.float32),
    )
    together, apart, count, seen = both(model, tv.tensor(pictures.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(together, apart, rtol=0, atol=2e-6)  # float32 sums of up to 108 terms, then a sigmoid
    assert count == 4
    assert len(seen) > 11
    expected = keras.ops.convert_to_numpy(theirs(pictures, training=False)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(together, expected, rtol=0, atol=2e-6)


def test_tflite_together_is_one_by_one(tmp_path, rng):
    pytest.importorskip("tflite")
    from .tflite_writer import write

    def numbers(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    windows = {"StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1}
    values = {
        "x": (1, 9, 10, 6), "borders": np.array([[0, 0], [0, 1], [1, 1], [0, 0]], np.int32),
        "kernel": numbers(12, 3, 3, 6), "deep": numbers(1, 3, 3, 12), "square": numbers(12, 1, 1, 12),
        "bias": numbers(12),
        "p": (1, 10, 12, 6), **dict.fromkeys(["a", "b", "c", "d", "e", "f", "y"], (1, 4, 5, 12)),
    }  # fmt: skip
    once = {**windows, "StrideH": 1, "StrideW": 1, "Padding": 0}
    relu6 = {**windows, "Padding": 1, "FusedActivationFunction": 3}
    nodes = [
        ["PAD", ["x", "borders"], ["p"], None, {}],
        ["CONV_2D", ["p", "kernel", "bias"], ["a"], "Conv2DOptions", relu6],
        ["DEPTHWISE_CONV_2D", ["a", "deep", "bias"], ["b"], "DepthwiseConv2DOptions", dict(once)],
        ["HARD_SWISH", ["b"], ["c"], None, {}],
        ["CONV_2D", ["c", "square", "bias"], ["d"], "Conv2DOptions", dict(once)],
        ["ADD", ["a", "d"], ["e"], "AddOptions", {"FusedActivationFunction": 1}],
        ["NEG", ["e"], ["y"], None, {}],
    ]  # fmt: skip
    model = models.from_tflite(write(tmp_path / "net.tflite", values, nodes, ["x"], ["y"])).eval()
    together, apart, count, _ = both(model, tv.tensor(numbers(3, 6, 9, 10)))
    np.testing.assert_allclose(together, apart, rtol=0, atol=2e-6 * np.abs(apart).max())  # float32, as above
    assert count == 3


@pytest.mark.parametrize("failure", [MemoryError(), ValueError("of NumPy's"), tv.ShapeError("of the op")])
def test_what_fails_together_is_told_by_the_layer(failure, tmp_path, rng, monkeypatch):
    def fails(*arguments):
        raise failure

    model, x = network(tmp_path / "net.onnx", rng, "Relu", skip=False).eval(), tv.zeros(2, 8, 9, 10)
    with tv.no_grad():
        expected = model(x, x).numpy()
        monkeypatch.setattr(chains, "finished", fails)
        np.testing.assert_allclose(model(x, x).numpy(), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
        with pytest.raises(tv.TinyVisionError, match="channels"):
            model(tv.zeros(2, 7, 9, 10), x)
