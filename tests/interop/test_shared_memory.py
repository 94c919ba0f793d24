"""DLPack and `__array__`: what goes to another library, or comes from it, is the same memory, with the same rights."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import DtypeError, GraphError, OptionError, SharingError

torch = pytest.importorskip("torch", reason="the oracle, PyTorch, is not installed")


class Elsewhere:
    """An array of a library that only says where its memory is."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def jax_array(x):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    return jax.numpy.asarray(x)


OTHERS = {"numpy": np.array, "torch": torch.tensor, "any library": lambda x: Elsewhere(np.array(x)), "jax": jax_array}


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("other", OTHERS)
def test_there_and_back_nothing_is_copied(other, kind):
    if other == "jax" and kind in ("float64", "int64"):
        pytest.skip("JAX has no 64 bits unless it is told so")
    numbers = np.arange(12).reshape(3, 4).astype(kind)
    theirs = OTHERS[other](numbers)
    ours = tv.from_dlpack(theirs)
    assert ours.dtype == kind
    assert np.array_equal(ours.numpy(), numbers)
    assert np.from_dlpack(theirs).ctypes.data == ours.data_ptr()
    assert np.from_dlpack(ours).ctypes.data == torch.from_dlpack(ours).data_ptr() == ours.data_ptr()


def test_a_write_is_seen_on_the_other_side():
    theirs = torch.zeros(2, 3)
    ours = tv.from_dlpack(theirs)
    ours[1, 2] = 5
    theirs[0, 0] = 7
    assert theirs[1, 2] == 5
    assert ours[0, 0].item() == 7
    again = torch.from_numpy(ours.numpy())
    again.mul_(2)
    assert ours.tolist() == theirs.tolist() == [[14, 0, 0], [0, 0, 10]]


@pytest.mark.parametrize("view", [lambda t: t.T, lambda t: t[:, ::2], lambda t: t[1], lambda t: t[1:, 1:]])
def test_strides_go_along(view):
    theirs = torch.arange(12.0).reshape(3, 4)
    ours = tv.from_dlpack(view(theirs))
    assert ours.stride() == view(theirs).stride()
    back = torch.from_dlpack(view(tv.from_dlpack(theirs)))
    assert back.data_ptr() == view(theirs).data_ptr()
    assert torch.equal(back, view(theirs))


def test_pictures_with_their_channels_last_stay_so():
    theirs = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    back = torch.from_dlpack(tv.from_dlpack(theirs))
    assert back.is_contiguous(memory_format=torch.channels_last)
    assert back.data_ptr() == theirs.data_ptr()


def test_read_only_memory_stays_read_only():
    numbers = np.zeros(3, np.float32)
    numbers.flags.writeable = False
    ours = tv.from_dlpack(numbers)
    with pytest.raises(OptionError, match="read-only"):
        ours[0] = 1
    assert not np.from_dlpack(ours).flags.writeable
    assert not np.asarray(ours).flags.writeable
    with pytest.raises(SharingError, match=r"readonly.*clone"):
        ours.__dlpack__()  # as whoever does not ask for the flag would write into it
    assert np.from_dlpack(tv.zeros(3)).flags.writeable


def test_array_shares_where_it_can_and_says_where_it_cannot():
    ours = tv.zeros(2, 3)
    assert np.shares_memory(np.asarray(ours), ours.array)
    assert np.shares_memory(np.array(ours, copy=False), ours.array)
    assert not np.shares_memory(np.array(ours), ours.array)
    assert np.asarray(ours, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.array(ours, dtype=np.float64, copy=False)


def test_what_would_lose_gradients_is_refused_on_both_ways():
    ours = tv.zeros(3, requires_grad=True)
    for away in (torch.from_dlpack, np.from_dlpack, np.asarray):
        with pytest.raises(GraphError, match="detach"):
            away(ours)
        assert away(ours.detach()) is not None
    with pytest.raises(DtypeError, match="detach"):
        tv.from_dlpack(torch.zeros(3, requires_grad=True))


def test_what_cannot_be_shared_is_named():
    for what in (None, 3, [1.0], torch.utils.dlpack.to_dlpack(torch.zeros(2))):
        with pytest.raises(DtypeError, match=r"from_dlpack: expected a tensor of another library"):
            tv.from_dlpack(what)
    with pytest.raises(DtypeError, match=r"torch\.Tensor cannot be shared"):
        tv.from_dlpack(torch.zeros(2, dtype=torch.bfloat16))


@pytest.mark.parametrize("dtype", ["complex64", "longdouble", object, "U3", "datetime64[s]", [("a", "f4")]], ids=str)
def test_what_no_tensor_holds_is_no_tensor(dtype):
    array = np.zeros(2, dtype)
    for make in (tv.from_numpy, tv.tensor, tv.as_tensor):
        with pytest.raises(DtypeError, match=r"^(from_numpy|tensor): "):
            make(array)
    if dtype == "complex64":
        with pytest.raises(DtypeError, match=r"^from_dlpack: expected numbers, got complex64"):
            tv.from_dlpack(array)


def test_a_number_beyond_int64_wants_a_dtype():
    with pytest.raises(DtypeError, match=r"^tensor: 9223372036854775808 does not fit into int64"):
        tv.tensor([2**63])
    assert tv.tensor(2**63, dtype=tv.float32).item() == 2**63


def test_memory_lives_as_long_as_somebody_looks_at_it():
    ours = tv.from_dlpack(torch.full((1000,), 3.0))
    theirs = torch.from_dlpack(tv.full((1000,), 4.0))
    for _ in range(20):
        torch.zeros(1000), tv.zeros(1000)
    assert ours.sum().item() == 3000
    assert theirs.sum().item() == 4000


def test_what_another_library_has_written_trains_here():
    weight = torch.ones(2, 3)
    ours = tv.from_dlpack(weight).requires_grad_()
    (ours * 2).sum().backward()
    assert ours.grad.tolist() == [[2, 2, 2], [2, 2, 2]]
    assert torch.equal(weight, torch.ones(2, 3))


def test_axes_that_run_backwards_are_refused_for_pytorch_would_end_the_process():
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4)
    for turned in (numbers[::-1], numbers[:, ::-1], numbers[::-1, ::2].T):
        ours = tv.from_dlpack(turned)
        assert np.array_equal(ours.numpy(), turned)
        for away in (torch.from_dlpack, np.from_dlpack, ours.__class__.__dlpack__):
            with pytest.raises(SharingError, match=r"runs backwards in memory; hand over \.clone"):
                away(ours)
        assert np.array_equal(torch.from_dlpack(ours.clone()).numpy(), turned)
        assert np.array_equal(np.from_dlpack(ours, copy=True), turned)


def test_an_axis_of_length_1_has_no_direction():
    for turned in (
        np.arange(3.0).reshape(1, 3)[::-1],
        np.ones((4, 4, 1), np.float32)[..., ::-1],
        np.ones((0, 3))[::-1],
    ):
        ours = tv.from_numpy(turned)
        assert np.array_equal(torch.from_dlpack(ours).numpy(), turned)
    backwards = tv.from_numpy(np.arange(3.0).reshape(1, 3)[:, ::-1])
    with pytest.raises(SharingError, match=r"\.clone\(\)"):
        torch.from_dlpack(backwards)
    assert torch.from_dlpack(backwards.clone()).tolist() == [[2, 1, 0]]


def test_a_refusal_promises_only_what_helps():
    records = np.ones(4, dtype=[("a", "f4"), ("b", "i1")])["a"]
    remedies = {
        "strides.* .clone": (tv.from_numpy(records), lambda t: t.clone()),
        r'byte order.* \.to\("float64"\)': (tv.from_numpy(np.ones(4, ">f8")), lambda t: t.to("float64")),
    }
    for message, (ours, remedy) in remedies.items():
        with pytest.raises(SharingError, match=message):
            torch.from_dlpack(ours)
        assert torch.from_dlpack(remedy(ours)).tolist() == [1, 1, 1, 1]
    with pytest.raises(SharingError, match=r"device requested$"):
        tv.ones(4).__dlpack__(dl_device=(2, 0))


def test_a_copy_is_made_where_it_is_asked_for_and_not_where_it_is_forbidden():
    theirs = torch.arange(6.0)
    assert tv.from_dlpack(theirs, copy=False).data_ptr() == theirs.data_ptr()
    assert tv.from_dlpack(theirs, device="cpu").data_ptr() == theirs.data_ptr()
    own = tv.from_dlpack(theirs, copy=True)
    own[0] = 9
    assert own.data_ptr() != theirs.data_ptr()
    assert theirs[0] == 0
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    assert tv.from_dlpack(frozen, copy=True).array.flags.writeable
    ours = tv.zeros(4)
    assert (
        np.from_dlpack(ours, copy=True).ctypes.data != ours.data_ptr() == np.from_dlpack(ours, copy=False).ctypes.data
    )


def aligned(shape, offset=0):
    """A tensor of ours whose memory begins `offset` bytes after a multiple of 64."""
    count = int(np.prod(shape))
    memory = np.zeros(4 * count + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    return tv.from_numpy(memory[start : start + 4 * count].view(np.float32).reshape(shape))


def test_jax_shares_what_begins_at_a_multiple_of_64_bytes_and_copies_the_rest():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    shared = aligned((3, 4))
    theirs = jax.dlpack.from_dlpack(shared, copy=False)
    assert theirs.unsafe_buffer_pointer() == shared.data_ptr()
    turned = shared.T
    assert jax.dlpack.from_dlpack(turned, copy=False).unsafe_buffer_pointer() == turned.data_ptr()
    elsewhere = aligned((3, 4), offset=4)
    assert jax.dlpack.from_dlpack(elsewhere).unsafe_buffer_pointer() != elsewhere.data_ptr()
    with pytest.raises(ValueError, match="requires a copy"):
        jax.dlpack.from_dlpack(elsewhere, copy=False)
    back = tv.from_dlpack(jax.numpy.ones(3))
    with pytest.raises(OptionError, match="read-only"):
        back[0] = 2


def test_whoever_asks_for_the_names_of_the_array_api_is_told_that_there_are_none():
    """As of PyTorch's tensors; by way of NumPy its code runs, on the same memory."""
    x = tv.arange(6.0)
    assert not hasattr(x, "__array_namespace__")
    assert not hasattr(torch.arange(6.0), "__array_namespace__")
    a = np.from_dlpack(x)
    back = tv.from_dlpack(np.flip(a))
    assert back.tolist() == [5, 4, 3, 2, 1, 0]
