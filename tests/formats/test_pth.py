"""Every layout, dtype and shape of tensor that PyTorch writes, read bit for bit; PyTorch is the oracle."""

import time
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import WeightsError
from tinyvision.weights import load_arrays as load

from . import layouts

torch = pytest.importorskip("torch")

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


@pytest.fixture(params=FORMATS)
def save(request, tmp_path):
    """save(thing) -> path of what torch.save makes of it, in either format."""

    def write(thing):
        path = tmp_path / "weights.pth"
        torch.save(thing, path, **FORMATS[request.param])
        return path

    return write


def sample(dtype, shape=(3, 4, 5)):
    """Numbers with every bit in use, infinities and NaNs included."""
    torch.manual_seed(5)
    dtype = getattr(torch, dtype)
    if dtype == torch.bool:
        return torch.randint(2, shape).bool()
    size = torch.empty(shape, dtype=dtype).nbytes
    return torch.randint(256, (size,), dtype=torch.uint8).view(dtype).reshape(shape)


def same_bits(array, tensor):
    """Equal in shape, kind and every bit (bfloat16 against its exact float32)."""
    tensor = tensor.detach()
    expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()
    assert array.shape == expected.shape
    assert array.dtype == expected.dtype
    assert array.dtype.isnative
    assert array.tobytes() == expected.tobytes()


def agrees(state, path):
    expected = torch.load(path, weights_only=True)
    assert list(state) == list(expected)
    for name, tensor in expected.items():
        same_bits(state[name], tensor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(save, dtype):
    path = save({"weight": sample(dtype), "scalar": sample(dtype, ()), "empty": sample(dtype, (0, 3))})
    agrees(load(path), path)


def test_dtypes_that_are_not_read_are_named(save):
    with pytest.raises(WeightsError, match="ComplexFloatStorage"):
        load(save({"weight": torch.zeros(2, dtype=torch.complex64)}))


VIEWS = {
    "transposed": lambda x: x.transpose(0, 2),
    "row": lambda x: x[1],
    "column": lambda x: x[:, 2],
    "steps": lambda x: x[::2, 1::2, ::3],
    "diagonal": lambda x: x[0].diagonal(),
    "channels last": lambda x: x[None].contiguous(memory_format=torch.channels_last),
    "permuted": lambda x: x.permute(2, 0, 1),
    "expanded": lambda x: x[:1].expand(7, 4, 5),
    "windows": lambda x: x.reshape(-1).unfold(0, 8, 3),
    "empty slice": lambda x: x[3:, 4:],
    "one element": lambda x: x[2:, 3:, 4:],
    "0-d": lambda x: x[1, 2, 3],
}


@pytest.mark.parametrize("view", VIEWS)
def test_views(save, view):
    path = save({"view": VIEWS[view](sample("float32"))})
    agrees(load(path), path)


def test_repeated_elements_cannot_be_written_to(save):
    state = load(save({"expanded": torch.zeros(1).expand(5), "windows": torch.arange(9).unfold(0, 4, 2)}))
    for array in state.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_arrays_are_the_callers_own(save):
    state = load(save({"a": torch.arange(6.0), "b": torch.arange(6.0).reshape(2, 3).t()}))
    for array in state.values():
        array += 1
    np.testing.assert_array_equal(state["a"], np.arange(6) + 1)


def test_shared_storages_are_shared(save):
    base = sample("float32")
    path = save({"whole": base, "part": base[1], "again": base})
    state = load(path)
    agrees(state, path)
    state["whole"][1] = 7
    assert (state["part"] == 7).all()
    assert (state["again"][1] == 7).all()


def test_parameters_buffers_and_metadata(save):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    path = save(model.state_dict())
    agrees(load(path), path)
    parameters = OrderedDict((name, p) for name, p in model.named_parameters())
    path = save(parameters)
    state = load(path)
    assert list(state) == list(parameters)
    for name, parameter in parameters.items():
        same_bits(state[name], parameter)


def test_a_checkpoint_of_a_training_script(save):
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    state = model.state_dict()
    rest = {
        "epoch": 3,
        "best": 0.25,
        "note": "größer",
        "nothing": None,
        "flag": True,
        "seed": 2**40,
        "negative": -5,
        "losses": [1.0, 2.5, [3, (4, "five")]],
        "optimizer": optimizer.state_dict(),
    }
    for key in ("state_dict", "model", "model_state_dict", "net"):
        loaded = load(save({key: state, **rest}))
        assert list(loaded) == list(state)
        for name, tensor in state.items():
            same_bits(loaded[name], tensor)
    loaded = load(save({"whatever": state, "epoch": 3}))
    assert list(loaded) == list(state)
    loaded = load(save({**state, **{k: v for k, v in rest.items() if k != "optimizer"}}))
    assert list(loaded) == list(state)


def test_several_dicts_of_tensors_get_dotted_names(save):
    state = load(save({"generator": {"w": torch.ones(2)}, "critic": {"w": torch.zeros(3)}, "epoch": 1}))
    assert {name: array.shape for name, array in state.items()} == {"generator.w": (2,), "critic.w": (3,)}
    optimizer = {
        "state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)}},
        "param_groups": [{"lr": 0.1}],
    }
    assert list(load(save(optimizer))) == ["state.0.step", "state.0.exp_avg"]


def test_module_prefix(save):
    tensor = torch.ones(2)
    assert list(load(save({"module.a": tensor, "module.b.c": tensor}))) == ["a", "b.c"]
    assert list(load(save({"state_dict": {"module.a": tensor}}))) == ["a"]
    assert list(load(save({"module.a": tensor, "b": tensor}))) == ["module.a", "b"]
    assert list(load(save({"module.a": tensor, "module.": tensor}))) == ["module.a", "module."]  # no name is empty


def test_empty_state_dicts(save):
    for nothing in (OrderedDict(), {"state_dict": {}, "epoch": 1}):
        with pytest.raises(WeightsError, match="it is whole, but holds no tensors"):
            load(save(nothing))


def test_large_dicts_are_written_in_batches(save):
    state = {f"layer{i}.weight": torch.full((2,), float(i)) for i in range(2500)}
    state["history"] = list(range(5000))
    path = save(state)
    loaded = load(path)
    assert len(loaded) == 2500
    assert loaded["layer2499.weight"].tolist() == [2499.0, 2499.0]


def test_zip_without_checksums(tmp_path):
    """torch.serialization.set_crc32_options(False) writes zeros for checksums."""
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.arange(5)}, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    assert load(tmp_path / "a.pth")["weight"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stem", ["archive", "resnet18", "with blank", "ünï", "a.b.c"])
def test_zip_prefixes(tmp_path, stem):
    path = tmp_path / f"{stem}.pth"
    torch.save({"weight": torch.arange(5)}, path)
    assert load(path)["weight"].tolist() == [0, 1, 2, 3, 4]


def test_what_the_file_is_called_does_not_matter(tmp_path):
    path = tmp_path / "weights.safetensors"
    torch.save({"weight": torch.arange(5)}, path)
    assert load(path)["weight"].tolist() == [0, 1, 2, 3, 4]
    assert load(str(path))["weight"].tolist() == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------------- layouts that today's PyTorch cannot write

ARRAYS = {
    "conv.weight": np.random.default_rng(1).standard_normal((4, 3, 2, 2)).astype("f4"),
    "bn.running_mean": np.random.default_rng(2).standard_normal(4),
    "half": np.arange(5, dtype="f2"),
    "steps": np.array(7, "i8"),
    "int": np.arange(-3, 3, dtype="i4").reshape(2, 3),
    "short": np.arange(4, dtype="i2"),
    "char": np.arange(-2, 2, dtype="i1"),
    "byte": np.arange(4, dtype="u1"),
    "empty": np.empty((0, 2), "f4"),
}
WRITERS = {"zip": layouts.zip_file, "legacy": layouts.legacy_file, "tar": layouts.tar_file}


def equal(state, arrays):
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == array.dtype
        assert state[name].shape == array.shape
        assert state[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("layout", WRITERS)
def test_published_layouts(tmp_path, layout):
    path = tmp_path / "a.pth"
    path.write_bytes(WRITERS[layout](ARRAYS))
    equal(load(path), ARRAYS)


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_our_layouts_are_pytorchs(tmp_path, layout):
    """The writers of these tests make files that PyTorch reads; otherwise they would prove nothing."""
    path = tmp_path / "a.pth"
    path.write_bytes(WRITERS[layout](ARRAYS))
    agrees(load(path), path)


def resnet18_shapes():
    shapes = {"conv1.weight": (64, 3, 7, 7)}

    def norm(name, channels):
        for part in ("running_mean", "running_var", "weight", "bias"):
            shapes[f"{name}.{part}"] = (channels,)

    norm("bn1", 64)
    before = 64
    for layer, channels in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"layer{layer}.{block}"
            shapes[f"{name}.conv1.weight"] = (channels, before, 3, 3)
            norm(f"{name}.bn1", channels)
            shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
            norm(f"{name}.bn2", channels)
            if before != channels:
                shapes[f"{name}.downsample.0.weight"] = (channels, before, 1, 1)
                norm(f"{name}.downsample.1", channels)
            before = channels
    return shapes | {"fc.weight": (1000, 512), "fc.bias": (1000,)}


@pytest.mark.parametrize(("layout", "length"), [("zip", 46_830_571), ("tar", 46_827_520), ("legacy", None)])
def test_resnet18_at_full_size(tmp_path, layout, length):
    rng = np.random.default_rng(18)
    arrays = {name: rng.standard_normal(shape, "f4") for name, shape in resnet18_shapes().items()}
    assert len(arrays) == 102
    data = WRITERS[layout](arrays)
    if layout == "tar":
        assert len(data) == length  # to the byte, the length of the file that torchvision published in 2017
    if layout == "zip":
        assert abs(len(data) - length) < 20_000  # the published keys are longer, and some opcodes are memo entries
    path = tmp_path / "resnet18.pth"
    path.write_bytes(data)
    load(path)
    start = time.process_time()
    state = load(path)
    assert time.process_time() - start < 1
    equal(state, arrays)
    del state
    tracemalloc.start()
    load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * len(data)


def test_big_endian_records(tmp_path):
    """A machine with the other byte order writes its storages as they are, and says so in `byteorder`."""
    arrays = {name: array for name, array in ARRAYS.items() if array.size}
    storages = {
        str(key): array.astype(array.dtype.newbyteorder(">")).tobytes() for key, array in enumerate(arrays.values())
    }
    for order, expected in ((b"big", arrays), (b"little", None)):
        entries = layouts.records(layouts.described(arrays), storages, extra=[("byteorder", order)])
        (tmp_path / "a.pth").write_bytes(layouts.zipped(entries))
        state = load(tmp_path / "a.pth")
        if expected is not None:
            equal(state, expected)
        else:
            assert state["int"].tobytes() == storages["4"]


def test_bfloat16_in_big_endian(tmp_path):
    made = layouts.tensor(layouts.storage(kind="BFloat16", numel=2), (2,), (1,))
    entries = layouts.records(
        layouts.pickled(layouts.dict_of({"w": made})),
        {"0": b"\x3f\x80\xc0\x00"},
        extra=[("byteorder", b"big")],
    )
    (tmp_path / "a.pth").write_bytes(layouts.zipped(entries))
    assert load(tmp_path / "a.pth")["w"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("prefix", ["", "archive/", "a/b/", "model-v1.2/"])
def test_any_prefix(tmp_path, prefix):
    arrays = {"w": np.arange(3, dtype="f4")}
    entries = layouts.records(layouts.described(arrays), {"0": arrays["w"].tobytes()}, prefix=prefix)
    for zip64 in (False, True):
        (tmp_path / "a.pth").write_bytes(layouts.zipped(entries, zip64=zip64))
        equal(load(tmp_path / "a.pth"), arrays)


def test_records_that_newer_writers_add(tmp_path):
    arrays = {"w": np.arange(3, dtype="f4")}
    extra = [
        (".format_version", b"1"),
        (".storage_alignment", b"64"),
        ("byteorder", b"little"),
        (".data/serialization_id", b"1" * 40),
    ]
    entries = layouts.records(layouts.described(arrays), {"0": arrays["w"].tobytes(), "unused": b"x"}, extra=extra)
    (tmp_path / "a.pth").write_bytes(layouts.zipped(entries))
    equal(load(tmp_path / "a.pth"), arrays)


def test_python_2_text_and_old_tensors(tmp_path):
    """torch 0.2 on Python 2: byte strings, _rebuild_tensor of four arguments, Parameters built by state."""

    def old(value):
        raw = value.encode()
        return b"U" + bytes([len(raw)]) + raw

    pid = (
        layouts.storage(view=b"N").replace(layouts.text("storage"), old("storage")).replace(layouts.text("0"), old("0"))
    )
    sizes = layouts.tuple_of(b"K\2", b"K\3") + layouts.tuple_of(b"K\3", b"K\1")
    made = layouts.name("torch._utils", "_rebuild_tensor") + layouts.tuple_of(pid, b"K\0", sizes) + b"R"
    state = layouts.tuple_of(made, b"N", layouts.ORDERED_DICT, b"\x88", b"\x89")
    program = layouts.ORDERED_DICT + b"(" + old("w") + layouts.tar_parameter(0, state) + old("v") + made + b"u"
    data = np.arange(6, dtype="<f4")
    keys = layouts.pickled(b"](" + old("0") + b"e")
    path = tmp_path / "a.pth"
    path.write_bytes(layouts.legacy_bytes(layouts.pickled(program), {"0": (6, data.tobytes())}, keys=keys))
    equal(load(path), {"w": data.reshape(2, 3), "v": data.reshape(2, 3)})


def test_storage_views_of_old_files(tmp_path):
    """The sixth field of an id: a part of a storage under a key of its own."""
    view = layouts.tuple_of(layouts.text("part"), b"K\2", b"K\4")
    made = layouts.tensor(layouts.storage(view=view), (2, 2), (2, 1))
    data = np.arange(6, dtype="<f4")
    path = tmp_path / "a.pth"
    program = layouts.pickled(layouts.dict_of({"part": made, "whole": layouts.tensor(layouts.storage(view=b"N"))}))
    path.write_bytes(layouts.legacy_bytes(program, {"0": (6, data.tobytes())}))
    agrees(load(path), path)
    assert load(path)["part"].tolist() == [[2, 3], [4, 5]]


def test_storage_views_in_tar_files(tmp_path):
    data = np.arange(6, dtype="<f4")
    entry = layouts.tar_tensor_entry(5, 9, "Float", (2,), (2,), 1, junk=b"\xff\xfe\xfd\xfc")
    members = {
        "sys_info": layouts.TAR_SYSTEM,
        "pickle": layouts.pickled(layouts.dict_of({"w": layouts.tar_parameter(5)})),
        "tensors": layouts.pickled(b"K\1") + entry,
        "storages": layouts.pickled(b"K\1")
        + layouts.tar_storage_entry(8, "Float", 6, data.tobytes())
        + layouts.pickled(b"](" + layouts.tuple_of(b"K\x09", b"K\x08", b"K\2", b"K\4") + b"e"),
    }
    path = tmp_path / "a.pth"
    path.write_bytes(layouts.tarred(members))
    assert load(path)["w"].tolist() == [3, 5]


def test_an_axis_of_one_element_may_have_any_stride(tmp_path):
    made = layouts.tensor(layouts.storage(numel=3), (1, 3), ((1 << 62), 1))
    data = np.arange(3, dtype="<f4").tobytes()
    path = tmp_path / "a.pth"
    path.write_bytes(layouts.zipped(layouts.records(layouts.pickled(layouts.dict_of({"w": made})), {"0": data})))
    assert load(path)["w"].tolist() == [[0, 1, 2]]


def test_pax_headers_with_owners_and_gnu_tar(tmp_path):
    members = layouts.tar_members_of({"w": np.arange(3, dtype="f4")})
    gnu = b"".join(layouts.tar_member(label, data, pax=b"") for label, data in members.items())
    old = gnu.replace(b"ustar\x0000", b"ustar  \0")
    # The magic is part of the checksum: write it anew.
    blocks = bytearray(old)
    for place in range(0, len(blocks) - 511, 512):
        if blocks[place + 257 : place + 262] == b"ustar":
            blocks[place + 148 : place + 156] = b" " * 8
            blocks[place + 148 : place + 156] = b"%06o\0 " % sum(blocks[place : place + 512])
    for data in (gnu + bytes(1024), bytes(blocks) + bytes(1024)):
        (tmp_path / "a.pth").write_bytes(data)
        assert load(tmp_path / "a.pth")["w"].tolist() == [0, 1, 2]


def test_shapes_and_devices_go_to_pytorch(tmp_path):
    x = tv.zeros(2, 3)
    kept = {"shape": x.shape, "device": x.device, "more": [tv.device("cuda", 1), tv.zeros(()).shape]}
    tv.save(kept, tmp_path / "kept.pt")
    theirs = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert theirs == {"shape": (2, 3), "device": torch.device("cpu"), "more": [torch.device("cuda", 1), ()]}
    assert type(theirs["shape"]) is type(theirs["more"][1]) is torch.Size
    assert tv.load(tmp_path / "kept.pt") == {"shape": (2, 3), "device": "cpu", "more": ["cuda:1", ()]}
