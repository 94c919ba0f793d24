"""The nodes of ONNX, one by one, as other programs write them: what each computes is what ONNX Runtime makes of it."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import ShapeError, WeightsError
from tinyvision.interop import from_onnx

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="the oracle, onnxruntime, is not installed")


# What older ONNX Runtimes (Python 3.10 has 1.23) lack, or compute otherwise: sums that wrap around, nan in any order.
NEWER = pytest.mark.skipif(
    tuple(map(int, ort.__version__.split(".")[:2])) < (1, 32), reason="this ONNX Runtime is too old to be the oracle"
)


def run(path, x):
    """What onnxruntime computes."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def file_of(folder, nodes, arrays, opset):
    """An ONNX file of these nodes, from x (N, 3, 4, 6) to y."""
    x = onnx.helper.make_tensor_value_info("x", 1, [None, 3, 4, 6])
    y = onnx.helper.make_empty_tensor_value_info("y")  # of whatever kind
    kept = [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]
    made = [onnx.helper.make_node(kind, inputs, ["y"], **options) for kind, inputs, options in nodes]
    graph = onnx.helper.make_graph(made, "g", [x], [y], kept)
    opsets = [onnx.helper.make_opsetid("", opset)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "a.onnx")
    return folder / "a.onnx"


@pytest.mark.parametrize(
    ("opset", "kind", "inputs", "options"),
    [
        (11, "Softmax", ["x"], {"axis": 1}),
        (11, "Softmax", ["x"], {}),
        (11, "LogSoftmax", ["x"], {"axis": 2}),
        (11, "Softmax", ["x"], {"axis": -1}),
        (13, "Softmax", ["x"], {"axis": 1}),
        (13, "LogSoftmax", ["x"], {}),
        (10, "Resize", ["x", "scales"], {"mode": "nearest"}),
        (11, "Resize", ["x", "none", "scales"], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}),
    ],
)
def test_nodes_mean_what_they_meant_in_their_opset(tmp_path, opset, kind, inputs, options):
    arrays = {"scales": np.array([1, 1, 2, 2], np.float32), "none": np.zeros(0, np.float32)}
    path = file_of(tmp_path, [(kind, inputs, options)], {n: a for n, a in arrays.items() if n in inputs}, opset)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    (wanted,) = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    found = from_onnx(path).eval()(tv.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


INDEX = np.random.default_rng(4).integers(-3, 3, (2, 3, 4, 6))
PLACES = np.array([[[0, -1], [2, 3]], [[1, 0], [-3, 2]]])
# opset, kind, arguments, options, arrays; x is (2, 3, 4, 6)
FURTHER_NODES = [
    (18, "Mod", ["x", "a"], {"fmod": 1}, {"a": np.full((6,), 0.7, np.float32)}),
    *[(18, kind, ["x"], {}, {}) for kind in ("Floor", "Ceil", "Round", "Sign", "Softsign", "Mean")],
    (18, "Mean", ["x", "a", "x"], {}, {"a": np.ones((4, 6), np.float32)}),
    (18, "ThresholdedRelu", ["x"], {"alpha": 0.3}, {}),
    pytest.param(24, "Swish", ["x"], {"alpha": 1.5}, {}, marks=NEWER),
    (18, "LRN", ["x"], {"size": 3, "alpha": 0.4, "beta": 0.6, "bias": 1.5}, {}),
    (18, "LpNormalization", ["x"], {"axis": 1}, {}),
    (18, "LpNormalization", ["x"], {"p": 1}, {}),
    (23, "RMSNormalization", ["x", "a"], {"axis": 2}, {"a": np.arange(24.0, dtype=np.float32).reshape(4, 6)}),
    *[(18, kind, ["x", "a"], {}, {"a": np.array([-1, 1])}) for kind in ("ReduceL1", "ReduceSumSquare", "ReduceMin")],
    (13, "ReduceLogSumExp", ["x"], {"axes": [1], "keepdims": 0}, {}),
    (18, "ArgMin", ["x"], {"axis": 2}, {}),
    (18, "GatherElements", ["x", "a"], {"axis": 1}, {"a": INDEX}),
    (18, "GatherND", ["x", "a"], {}, {"a": np.array([[1, -1], [0, 2]])}),
    (18, "GatherND", ["x", "a"], {"batch_dims": 1}, {"a": PLACES}),
    (18, "GatherND", ["x", "a"], {"batch_dims": 2}, {"a": INDEX[..., :2, 4:]}),
    (18, "ScatterElements", ["x", "a", "b"], {"axis": -2}, {"a": INDEX[:, :, :1], "b": np.ones((2, 3, 1, 6), "f4")}),
    (18, "ScatterElements", ["x", "a", "x"], {"axis": 1, "reduction": "add"}, {"a": INDEX}),
    (18, "Trilu", ["x"], {}, {}),
    (18, "Trilu", ["x", "a"], {"upper": 0}, {"a": np.array(-1)}),
    (18, "CumSum", ["x", "a"], {"exclusive": 1}, {"a": np.array(-1)}),
    (18, "CumSum", ["x", "a"], {"reverse": 1}, {"a": np.array(2)}),
    (18, "Einsum", ["x", "a"], {"equation": "nchw,ck->nkhw"}, {"a": np.ones((3, 2), np.float32)}),
    (18, "SpaceToDepth", ["x"], {"blocksize": 2}, {}),
    *[
        (opset, "GridSample", ["x", "a"], {"mode": mode, **more}, {"a": (INDEX[:, :, 1:3, :2] / 3).astype(np.float32)})
        for opset, mode, more in ((16, "bilinear", {}), (20, "linear", {"align_corners": 1}), (20, "nearest", {}))
    ],
    (18, "Size", ["x"], {}, {}),
    (18, "MatMul", ["x", "a"], {}, {"a": np.arange(6, dtype=np.float32)}),
    (18, "MatMul", ["a", "x"], {}, {"a": np.arange(4, dtype=np.float32)}),
    (18, "Pad", ["x", "a", "b"], {}, {"a": np.array([0, 0, 1, 0, 0, 0, -1, 2]), "b": np.array([3], np.float32)}),
    (18, "Where", ["a", "b", "c"], {}, {"a": INDEX > 0, "b": np.float32(1), "c": np.float32(-np.inf)}),
    *[
        (18, "AveragePool", ["x"], {"kernel_shape": [3, 2], **more}, {})
        for more in (
            {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
            {"auto_pad": "SAME_LOWER"},
            {"pads": [2, 1, 2, 1]},
            {"pads": [2, 0, 0, 1], "count_include_pad": 1},
        )
    ],
    (18, "MaxPool", ["x"], {"kernel_shape": [3, 2], "pads": [2, 1, 2, 1], "strides": [2, 3]}, {}),
    *[
        (18, "ConvTranspose", ["x", "a"], {"strides": [3, 2], **more}, {"a": np.ones((3, 2, 3, 3), np.float32)})
        for more in ({"output_shape": [13, 14]}, {"output_shape": [11, 12], "auto_pad": "SAME_LOWER"})
    ],
]


@pytest.mark.parametrize(("opset", "kind", "inputs", "options", "arrays"), FURTHER_NODES)
def test_nodes_that_others_write(tmp_path, opset, kind, inputs, options, arrays):
    path = file_of(tmp_path, [(kind, inputs, options)], arrays, opset)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    x[0, :, 0, 0] = 0  # nothing, and ties
    found = from_onnx(path).eval()(tv.tensor(x)).detach().numpy()
    wanted = run(path, x)[0]
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SCALES = [(2, 3), (0.6, 0.5), (1.7, 2.3)]
SIZES = [(8, 12), (3, 3), (1, 9), (7, 11)]
RESIZINGS = [
    *[
        (19, {"mode": mode, "coordinate_transformation_mode": where, "nearest_mode": rounding}, scales, None)
        for mode, rounding in [("linear", "floor"), ("cubic", "floor"), *[("nearest", r) for r in ROUNDINGS]]
        for where in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
        for scales in SCALES[:2]
    ],
    *[
        (19, {"mode": mode, "axes": axes, "keep_aspect_ratio_policy": policy}, None, size)
        for mode in ("nearest", "linear")
        for axes, policy in (([2, 3], "stretch"), ([3, 2], "stretch"), ([2, 3], "not_larger"), ([2, 3], "not_smaller"))
        for size in SIZES
    ],
    *[
        (19, {"mode": mode, "coordinate_transformation_mode": "pytorch_half_pixel", "axes": [2, 3], **more}, None, size)
        for mode in ("linear", "cubic")
        for more in ({}, {"antialias": 1}, {"cubic_coeff_a": -0.5, "exclude_outside": mode == "cubic"})
        for size in SIZES
    ],
    (19, {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}, SCALES[2], None),
    *[(10, {"mode": mode}, scales, None) for mode in ("nearest", "linear") for scales in SCALES],
]


@pytest.mark.parametrize(("opset", "options", "scales", "size"), RESIZINGS)
def test_resizing_as_onnx_means_it(tmp_path, opset, options, scales, size):
    given = {} if scales is None else {"scales": np.array([1, 1, *scales], np.float32)}
    given |= {} if size is None else {"size": np.array(size)}
    inputs = ["x", "scales"] if opset < 11 else ["x", "", "scales"] if size is None else ["x", "", "", "size"]
    path = file_of(tmp_path, [("Resize", inputs, options)], given, opset)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    found = from_onnx(path).eval()(tv.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, run(path, x)[0], rtol=1e-5, atol=1e-5)


def test_resizing_of_any_axes_learns(tmp_path):
    path = file_of(
        tmp_path, [("Resize", ["x", "", "scales"], {"mode": "nearest"})], {"scales": np.float32([1, 2, 1, 2])}, 19
    )
    x = tv.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32), requires_grad=True)
    y = from_onnx(path)(x)
    np.testing.assert_allclose(y.detach().numpy(), run(path, x.detach().numpy())[0], atol=1e-6)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4, rtol=1e-6)  # every pixel becomes four


def test_dropout_drops_in_training_alone_whatever_the_file_says(tmp_path):
    arrays = {"ratio": np.float32(0.75), "always": np.array(True)}
    model = from_onnx(file_of(tmp_path, [("Dropout", ["x", "ratio", "always"], {})], arrays, 13))
    x = tv.ones(40, 3, 4, 6)
    assert (model.eval()(x) == 1).all()
    tv.manual_seed(0)
    y = model.train()(x).numpy()
    assert sorted(set(y.ravel().tolist())) == [0, 4]
    assert abs((y == 0).mean() - 0.75) < 0.03


def test_what_layer_normalisation_knows_of_its_input(tmp_path):
    arrays = {"a": np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32), "w": np.full(6, 2, np.float32)}
    for result in range(3):
        found, wanted = nodes_of_integers(tmp_path, "LayerNormalization", arrays, {}, ("y", "mean", "spread"), result)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


LIMITS = {  # ties, and both ends of each kind
    kind: np.array([np.iinfo(kind).min, 3, np.iinfo(kind).max, 3, 0], kind) for kind in ("u1", "i1", "i4", "i8")
}
NANS = np.array([1, np.nan, 3, np.nan, 3, -np.inf], np.float32)


def nodes_of_integers(folder, kind, arrays, options=None, outputs=("y",), result=0):
    """(what is found here, what ONNX Runtime finds) of a node whose arguments are all inputs of the graph."""
    ends = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in arrays.items()
    ]
    node = onnx.helper.make_node(kind, list(arrays), list(outputs), **(options or {}))
    made = [onnx.helper.make_empty_tensor_value_info(n) for n in outputs]
    graph = onnx.helper.make_graph([node], "g", ends, made)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(proto, folder / "a.onnx")
    session = ort.InferenceSession(str(folder / "a.onnx"), providers=["CPUExecutionProvider"])
    found = from_onnx(folder / "a.onnx").eval()(*map(tv.tensor, arrays.values()))
    return (found[result] if len(outputs) > 1 else found).detach().numpy(), session.run(None, arrays)[result]


@pytest.mark.parametrize(
    ("kind", "arrays", "options"),
    [
        ("Mod", {"a": INDEX, "b": np.full((6,), 4)}, {}),
        ("Mod", {"a": INDEX, "b": np.full((6,), -4)}, {"fmod": 1}),
        ("Add", {"a": INDEX, "b": INDEX[0]}, {}),
        ("OneHot", {"a": INDEX[0], "depth": np.array(3), "values": np.array([0.5, 2], np.float32)}, {"axis": 1}),
        ("CumSum", {"a": INDEX, "axis": np.array(1)}, {"reverse": 1, "exclusive": 1}),
        ("TopK", {"a": np.arange(12).reshape(3, 4) * 5 % 12, "k": np.array([2])}, {}),
        ("TopK", {"a": np.array([[3, 1, 3], [2, 2, 0]], np.float32), "k": np.array([2])}, {"largest": 0}),
        ("TopK", {"a": np.array([7, 9], np.int64), "k": np.array([2])}, {"axis": 0}),
        *[("TopK", {"a": LIMITS["i8"], "k": np.array([4])}, {"largest": n}) for n in (0, 1)],
        *[
            pytest.param("TopK", {"a": a, "k": np.array([4])}, {"largest": n}, marks=NEWER)
            for a in (LIMITS["u1"], LIMITS["i1"], NANS)
            for n in (0, 1)
        ],
        *[
            ("CumSum", {"a": np.array(a, kind), "axis": np.array(0)}, {"exclusive": 1, "reverse": reverse})
            for a, kind in (([1, np.inf, 2], "f4"), ([1, 1e9, 1], "f4"), ([2**31 - 1, 5, -7], "i4"), ([], "f4"))
            for reverse in (0, 1)
        ],
        ("CumSum", {"a": INDEX.astype("f4"), "axis": np.array(-2)}, {"exclusive": 1, "reverse": 1}),
        ("NonZero", {"a": INDEX}, {}),
        *[(kind, {"a": LIMITS[k]}, {}) for kind in ("Abs", "Sign") for k in ("i1", "u1", "i4", "i8")],
        *[(kind, {"a": INDEX.astype("i4")}, {}) for kind in ("Neg", "Relu")],
        ("MatMul", {"a": INDEX, "b": INDEX.swapaxes(2, 3)}, {}),
        ("Div", {"a": LIMITS["i4"], "b": np.array([2, -2, 2, 7, 1], "i4")}, {}),
        ("Clip", {"a": LIMITS["i8"], "low": np.array(-(2**62) - 1), "high": np.array(2**62 + 1)}, {}),
        ("Pow", {"a": np.array([2, 1, -1, -3], "i4"), "b": np.array([-1, -2, -3, 3], "i4")}, {}),
        ("Pow", {"a": np.array([2, 3, -3], "i8"), "b": np.array([0.5, 2, 3], "f4")}, {}),
        ("Pow", {"a": np.array([2, 3, 4], "f4"), "b": np.array([1, 2, -1])}, {}),
        *[
            ("Reduce" + kind, {"a": a.astype(k), "axes": np.array(axes)}, {"keepdims": len(axes) % 2})
            for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare")
            for k in ("i4", "i8")
            for a, axes in ((INDEX, [1]), (INDEX, [0, 3]), (INDEX * 10 + 1, [-1]))
        ],
        *[
            pytest.param("Reduce" + kind, {"a": LIMITS["i4"]}, {}, marks=NEWER)
            for kind in ("Sum", "Mean", "Prod", "L1", "L2", "SumSquare")
        ],
        *[("Reduce" + kind, {"a": LIMITS["u1"]}, {}) for kind in ("Max", "Min")],
    ],
)
def test_whole_numbers_that_come_in(tmp_path, kind, arrays, options):
    found, wanted = nodes_of_integers(tmp_path, kind, arrays, options, ("y", "places")[: 1 + (kind == "TopK")])
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize("kind", ["ReduceLogSum", "ReduceLogSumExp"])
def test_a_logarithm_of_whole_numbers_is_refused_by_name(tmp_path, kind):
    with pytest.raises(WeightsError, match=f"{kind} of whole numbers is not known here"):
        nodes_of_integers(tmp_path, kind, {"a": np.array([[3, 1]])})


@NEWER
@pytest.mark.parametrize("kind", ["L1", "L2", "SumSquare", "LogSum", "LogSumExp", "Mean", "Max"])
def test_a_reduction_over_no_axis_is_one_of_each_number(tmp_path, kind):
    arrays = {"a": np.array([[0.5, 2, 3]], np.float32), "axes": np.zeros(0, np.int64)}
    found, wanted = nodes_of_integers(tmp_path, f"Reduce{kind}", arrays, {"noop_with_empty_axes": 1})
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(
    "x",
    [
        pytest.param(LIMITS["u1"], marks=NEWER),
        LIMITS["i8"],
        pytest.param(NANS, marks=NEWER),
        np.array([2, 1, 2, 1, 1], np.float32),
    ],
)
def test_among_equal_numbers_the_first_is_best(tmp_path, x, largest):
    arrays = {"a": x, "k": np.array([4])}
    found, wanted = nodes_of_integers(tmp_path, "TopK", arrays, {"largest": largest}, ("values", "y"), result=1)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("below", [0, 1])
@pytest.mark.parametrize("above", [0, 1])
def test_either_infinity_may_be_asked_for(tmp_path, below, above):
    x = np.array([1, np.inf, -np.inf, np.nan], np.float32)
    found, wanted = nodes_of_integers(tmp_path, "IsInf", {"a": x}, {"detect_negative": below, "detect_positive": above})
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("reverse", [0, 1])
def test_the_gradient_of_a_sum_of_those_before(tmp_path, reverse):
    """y_i adds the x_j before it: x_j is in every y_i behind it."""
    node = ("CumSum", ["x", "axis"], {"exclusive": 1, "reverse": reverse})
    x = tv.ones(1, 3, 4, 6, dtype=tv.float64, requires_grad=True)
    dy = np.random.default_rng(1).standard_normal(x.shape)
    from_onnx(file_of(tmp_path, [node], {"axis": np.array(3)}, 18))(x).backward(tv.tensor(dy))
    before = np.tril(np.ones((6, 6)), -1)
    np.testing.assert_allclose(x.grad.numpy(), dy @ (before.T if reverse else before), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"center_point_box": 1}])
def test_the_best_of_boxes_that_overlap(tmp_path, options):
    rng = np.random.default_rng(2)
    arrays = {
        "boxes": rng.uniform(0, 10, (2, 30, 4)).astype(np.float32),
        "scores": rng.uniform(0, 1, (2, 3, 30)).astype(np.float32),
        "most": np.array([5]),
        "overlap": np.array([0.3], np.float32),
        "least": np.array([0.2], np.float32),
    }
    found, wanted = nodes_of_integers(tmp_path, "NonMaxSuppression", arrays, options)
    assert np.array_equal(found, wanted)
    assert len(found) == 30


@pytest.mark.parametrize(
    ("kind", "inputs", "options", "arrays", "message"),
    [
        ("Tile", ["x", "a"], {}, {"a": np.array([1 << 14, 1 << 14, 1, 1])}, "is larger than any picture"),
        ("Expand", ["x", "a"], {}, {"a": np.array([1 << 40, 3, 4, 6])}, "is larger than any picture"),
        ("Pad", ["x", "a"], {}, {"a": np.array([0, 0, 1 << 20, 1 << 20, 0, 0, 0, 0])}, "is larger than any picture"),
        ("Resize", ["x", "", "a"], {}, {"a": np.array([1, 1, 1e5, 1e5], np.float32)}, "is larger than any picture"),
        ("Conv", ["x", "a"], {"pads": [1 << 20] * 4}, {"a": np.ones((2, 3, 1, 1), np.float32)}, "larger than any"),
        ("Conv", ["x", "a"], {"pads": [1, 1]}, {"a": np.ones((2, 3, 1, 1), np.float32)}, "cannot be computed"),
        ("Cast", ["x"], {"to": 99}, {}, "cannot be computed"),
        ("Cast", ["x"], {"to": 19}, {}, "numbers of the kind float8_e5m2 are not known here"),
        ("AveragePool", ["x"], {"kernel_shape": [2, 2], "dilations": [2, 1]}, {}, "means with dilations"),
        ("Resize", ["x", "", "a"], {"nearest_mode": "up"}, {"a": np.ones(4, np.float32)}, "rounding 'up' is not known"),
        ("Resize", ["x", "", "a"], {}, {"a": np.ones(2, np.float32)}, "with a number for each of 4 axes"),
        ("Resize", ["x", "", "a"], {}, {"a": np.array([1, 1, 0.1, 1], np.float32)}, "has no numbers"),
        ("Split", ["x", "a"], {"axis": 1}, {"a": np.array([5, 9])}, "do not make up an axis of 3"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused_before_it_takes_memory(tmp_path, kind, inputs, options, arrays, message):
    model = from_onnx(file_of(tmp_path, [(kind, inputs, options)], arrays, 13)).eval()
    with pytest.raises((WeightsError, ShapeError), match=message):
        model(tv.ones(1, 3, 4, 6))


@pytest.mark.parametrize("opset", [1, 6, 99])
def test_an_opset_of_other_meanings_is_refused(tmp_path, opset):
    with pytest.raises(WeightsError, match=f"it is of opset {opset}, and the nodes of 7 to 25 are known here"):
        from_onnx(file_of(tmp_path, [("Relu", ["x"], {})], {}, opset))
