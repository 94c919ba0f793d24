"""Every way in which a GPU can fail to be there gets its own sentence, with its own remedy.

A stand-in for the cupy module plays the machines that we do not have; two tests use the real wheel without a driver.
"""

import contextlib
import importlib.util
import subprocess
import sys
import types

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import accelerator, amp, capturing, cuda, errors, from_dlpack, kernels, nn, ops
from tinyvision.kernels import sgd
from tinyvision.nn.utils import clip_grad_value_
from tinyvision.ops.checks import check_devices
from tinyvision.optim import Optimizer
from tinyvision.tape import Variable, differentiable
from tinyvision.tensors.operands import as_operand

device = sys.modules["tinyvision.device"]


class OutOfMemoryError(MemoryError):
    """Named like CuPy's own, which is how the allocator's failure is known."""


class FakeArray:
    """The least that a CuPy array must do to be moved: it knows its module, its device and its NumPy numbers."""

    def __init__(self, numbers, index=0, log=None):
        self.numbers, self.log = np.array(numbers), log
        self.device = types.SimpleNamespace(id=index)
        for name in ("shape", "strides", "dtype", "ndim", "size"):
            setattr(self, name, getattr(self.numbers, name))

    def get(self):
        return self.numbers

    def copy(self):
        return FakeArray(self.numbers, FakeDevice.current)

    def reshape(self, *shape):
        return FakeArray(self.numbers.reshape(*shape))

    def __add__(self, other):
        return FakeArray(self.numbers + other)

    def __matmul__(self, other):
        return FakeArray(self.numbers @ other.numbers)

    def sum(self):
        return self.numbers.sum()

    def set(self, source, stream):
        stream.log.append("copy")
        self.numbers[...] = source


FakeArray.__module__ = "cupy"


class FakeDevice:
    current, waited_for = 0, []

    def __init__(self, index):
        self.index, self.compute_capability, self.mem_info = index, "90", (3 << 30, 80 << 30)

    def __enter__(self):
        self.previous, FakeDevice.current = FakeDevice.current, self.index
        return self

    def __exit__(self, *exception):
        FakeDevice.current = self.previous

    def use(self):
        FakeDevice.current = self.index

    def synchronize(self):
        FakeDevice.waited_for.append(self.index)


class FakeStream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def record(self):
        self.log.append(f"{self.name} records")
        return types.SimpleNamespace(synchronize=lambda: self.log.append("host waits"))

    def wait_event(self, event):
        self.log.append(f"{self.name} waits")

    def synchronize(self):
        self.log.append(f"{self.name} synchronizes")


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


def fake_cupy(driver=13000, count=1, **replaced):
    log = []
    cupy = types.ModuleType("cupy")
    cupy.__version__, cupy.log = "14.2.0", log
    main = FakeStream(log, "main")
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13020,
        getDeviceCount=count if callable(count) else lambda: count,
        getDeviceProperties=lambda i: {"name": b"Stand-in GPU", "major": 9, "minor": 0},
    )
    cupy.cuda = types.SimpleNamespace(
        runtime=runtime,
        Device=FakeDevice,
        Stream=lambda non_blocking: FakeStream(log, "side"),
        get_current_stream=lambda: main,
        alloc_pinned_memory=bytearray,
    )
    cupy.arange = lambda n, dtype: FakeArray(np.arange(n, dtype=dtype))
    cupy.empty = lambda shape, dtype: FakeArray(np.empty(shape, dtype), FakeDevice.current)
    cupy.asarray = lambda a: FakeArray(a, FakeDevice.current)
    linalg = types.ModuleType("cupy._core._routines_linalg")
    linalg.COMPUTE_TYPE_DEFAULT, linalg.COMPUTE_TYPE_TF32 = 1, 7
    linalg.set_compute_type = lambda dtype, kind: log.append((str(dtype), kind))
    cupy._core = types.ModuleType("cupy._core")
    cupy._core._routines_linalg = linalg
    for name, value in replaced.items():
        setattr(cupy, name, value)
    return cupy


@pytest.fixture
def install(monkeypatch):
    monkeypatch.setattr(device, "_checked", {})
    monkeypatch.setattr(device, "_gpus", 0)
    monkeypatch.setattr(FakeDevice, "current", 0)
    monkeypatch.setattr(FakeDevice, "waited_for", [])
    monkeypatch.setattr(device, "_cupy_wheels", lambda: ["cupy-cuda13x"])

    def put(cupy):
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if cupy is not None:
            monkeypatch.setitem(sys.modules, "cupy._core", cupy._core)
            monkeypatch.setitem(sys.modules, "cupy._core._routines_linalg", cupy._core._routines_linalg)
        return cupy

    return put


def problem_with(install, **options):
    install(fake_cupy(**options))
    return device.cuda_problem()


def test_a_working_gpu_has_no_problem(install):
    assert problem_with(install) is None
    assert device.is_available()


def test_not_installed_names_the_package_for_each_driver(install):
    install(None)  # Python's own way of making an import fail
    problem = device.cuda_problem()
    assert "not installed" in problem
    assert "tinyvision[cuda13]" in problem
    assert "580" in problem
    assert "tinyvision[cuda12]" in problem


def test_two_wheels_are_named_both(install, monkeypatch):
    install(fake_cupy())
    monkeypatch.setattr(device, "_cupy_wheels", lambda: ["cupy-cuda12x", "cupy-cuda13x"])
    problem = device.cuda_problem()
    assert "cupy-cuda12x, cupy-cuda13x" in problem
    assert "uninstall" in problem


def test_a_broken_import_is_not_called_missing(install, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    problem = device.cuda_problem()
    assert "cannot be imported" in problem
    assert "libcudart" in problem
    assert "not installed" not in problem


INSUFFICIENT = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


def test_no_driver_and_an_old_driver_are_told_apart_although_cuda_says_the_same(install):
    none = problem_with(install, driver=0, count=raising(INSUFFICIENT))
    old = problem_with(install, driver=12040, count=raising(INSUFFICIENT))
    assert "no NVIDIA driver" in none
    assert "supports CUDA 12.4 only" in old
    assert "needs CUDA 13" in old
    assert "tinyvision[cuda12]" in old
    ancient = problem_with(install, driver=11040, count=raising(INSUFFICIENT))
    assert "update the driver" in ancient
    assert "cuda12" not in ancient  # it would not run there either


def test_no_device(install, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    error = RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    assert "nvidia-smi" in problem_with(install, count=raising(error))
    assert "nvidia-smi" in problem_with(install, count=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in problem_with(install, count=raising(error))


def test_a_gpu_number_that_is_not_there(install):
    install(fake_cupy(count=2))
    assert device.cuda_problem(1) is None
    assert "no GPU number 2; the driver sees 2" in device.cuda_problem(2)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("DynamicLibNotFoundError: libcublas.so.13 was not found", "cuBLAS"),
        ("CuPy failed to load libnvrtc.so.13", "NVRTC"),
        ("cannot open source file cuda_fp16.h", "headers"),
        ("Failed to auto-detect CUDA root directory", "headers"),
    ],
)
def test_a_missing_library_is_named_with_the_package_that_brings_it(install, text, part):
    problem = problem_with(install, arange=raising(RuntimeError(text)))
    assert part in problem
    assert "is missing" in problem
    assert 'pip install "cupy-cuda13x[ctk]"' in problem


def test_an_unknown_failure_says_at_which_step(install, monkeypatch):
    assert "trial kernel failed" in problem_with(install, arange=raising(RuntimeError("strange")))
    monkeypatch.setattr(FakeArray, "__matmul__", raising(RuntimeError("strange")))
    assert "trial matrix product failed (RuntimeError: strange)" in problem_with(install)


def test_a_gpu_that_computes_wrongly(install, monkeypatch):
    monkeypatch.setattr(FakeArray, "sum", lambda self: 1.0)
    assert "wrong" in problem_with(install)


def test_out_of_memory_at_the_trial(install):
    assert "no GPU memory is left" in problem_with(install, arange=raising(OutOfMemoryError("0 bytes")))


def test_out_of_memory_while_moving_says_what_to_reduce(install):
    install(fake_cupy(asarray=raising(OutOfMemoryError("Out of memory allocating 7 bytes"))))
    with pytest.raises(errors.DeviceError, match=r"7 bytes.*smaller batch"):
        device.to_device(np.zeros(3), "cuda")


def test_other_errors_inside_the_memory_block_stay_what_they_are():
    with pytest.raises(KeyError), device.memory_errors_explained():
        raise KeyError("x")


def test_every_to_cuda_carries_the_remedy(install):
    install(None)
    with pytest.raises(errors.DeviceError, match=r"cuda:0 cannot be used.*tinyvision\[cuda13\]"):
        device.to_device(np.zeros(3), "cuda")


def test_a_failure_is_checked_again_but_a_success_is_remembered(install):
    assert problem_with(install, count=0) is not None
    assert problem_with(install) is None
    install(fake_cupy(count=0))
    assert device.cuda_problem() is None


def test_moving_there_and_back_and_between_gpus(install):
    install(fake_cupy(count=2))
    tree = {"a": np.arange(3.0), "b": [np.ones(2), "text", None, 7]}
    there = device.to_device(tree, "cuda:1")
    assert device.device_of(there["a"]) == device.Device("cuda", 1)
    assert there["b"][1:] == ["text", None, 7]
    other = device.to_device(there["a"], "cuda:0")
    assert device.device_of(other).index == 0
    assert np.array_equal(device.to_device(there, "cpu")["a"], tree["a"])
    assert device.to_device(there["a"], "cuda:1") is there["a"]


@pytest.mark.parametrize("named", [1, np.int64(1), "cuda:1", device.Device("cuda", 1), ("cuda", 1)], ids=repr)
def test_a_gpu_is_named_as_in_pytorch(named):
    name = named if isinstance(named, tuple) else (named,)
    assert device.device(*name) == device.Device("cuda", 1)
    assert device.device("cpu", 0) == device.device("cpu") == device.CPU


@pytest.mark.parametrize("named", [-1, True, 1.0, "cuda:", "cuda:x", "cuda:-1", "cpu:1", "mps", "", None], ids=repr)
def test_what_names_no_device_is_refused(named):
    with pytest.raises(errors.DeviceError, match="expected"):
        device.device(named)


def test_the_gpu_of_set_device_is_what_cuda_means(install, monkeypatch):
    install(fake_cupy(count=2))
    monkeypatch.setattr(device.current, "index", 0)
    assert device.device("cuda").index == cuda.current_device() == 0
    cuda.set_device(1)
    assert device.device("cuda").index == cuda.current_device() == accelerator.current_accelerator().index == 1
    assert device.device("cuda:0").index == 0
    assert device.device_of(device.to_device(np.ones(2), "cuda")).index == 1
    for wrong in (2, "cpu", "mps"):
        with pytest.raises(errors.DeviceError):
            cuda.set_device(wrong)
    assert device.current.index == 1
    cuda.set_device(device=0)
    assert device.current.index == 0
    for room in (cuda, accelerator):
        room.synchronize(device="cpu")


@pytest.mark.parametrize("move", [
    lambda x, to: x.to(to), lambda x, to: x.cuda(to), lambda x, to: x.cuda(to, non_blocking=True),
    lambda x, to: nn.Linear(2, 2).to(to), lambda x, to: nn.Linear(2, 2).cuda(to), lambda x, to: tv.ones(2, device=to),
    lambda x, to: nn.Linear(2, 2, device=to), lambda x, to: cuda.set_device(to),
    lambda x, to: cuda.get_device_name(to),
])  # fmt: skip
def test_the_number_of_a_gpu_is_taken_wherever_a_device_is(install, move):
    install(None)
    with pytest.raises(errors.DeviceError, match="cuda:3 cannot be used"):
        move(tv.ones(2), 3)


# -- several GPUs


def on(gpu):
    return FakeArray(np.ones(2, np.float32), gpu)


def test_the_gpu_that_was_moved_to_is_the_current_one(install):
    install(fake_cupy(count=2))
    device.to_device(np.ones(2), "cuda:1")
    assert FakeDevice.current == 1
    device.to_device(on(0), "cuda:0")
    assert FakeDevice.current == 0, "also where it was there already"
    device.to_device(on(1), "cpu")
    assert FakeDevice.current == 0


def test_where_there_is_one_gpu_nobody_asks_for_the_current_one(install, monkeypatch):
    install(fake_cupy())
    monkeypatch.setattr(FakeDevice, "use", raising(AssertionError))
    device.to_device(np.ones(2), "cuda")
    double = differentiable(lambda x: (x, None), lambda dy, cache, needs: (dy,))
    double(Variable(on(0), requires_grad=True)).record.backward(on(0), None, (True,))
    assert not device.several_gpus()


def test_every_op_and_its_backward_run_on_the_gpu_of_their_arrays(install):
    install(fake_cupy(count=3))
    assert device.is_available()
    seen = []

    def forward(*arrays):
        seen.append(("forward", FakeDevice.current))
        return arrays[0], None

    def backward(dy, cache, needs):
        seen.append(("backward", FakeDevice.current, dy.device.id))
        return (dy,)

    op = differentiable(forward, backward)
    y, z = (op(Variable(on(gpu), requires_grad=True)) for gpu in (2, 0))
    y.record.backward(on(2), None, (True,))
    z.record.backward(on(1), None, (True,))  # a gradient that began on another one is fetched
    op(on(1))
    assert seen == [("forward", 2), ("forward", 0), ("backward", 2, 2), ("backward", 0, 0), ("forward", 1)]


def test_a_backward_that_adds_is_handed_gradients_of_its_own_gpu(install):
    install(fake_cupy(count=2))
    assert device.is_available()
    seen = []

    def backward(dy, cache, needs, onto):
        seen.extend((dy.device.id, cache, needs, onto.device.id))

    backward.adds = True
    record = differentiable(lambda x: (x, "cache"), backward)(Variable(on(1), requires_grad=True)).record
    assert record.backward.adds
    record.backward(on(1), record.cache, record.needs, on(0))
    assert seen == [1, "cache", (True,), 1]


def test_optimizers_and_numbers_beside_tensors_go_to_the_gpu_of_the_arrays(install, monkeypatch):
    install(fake_cupy(count=2))
    assert device.is_available()
    seen = []

    class Noting(Optimizer):
        def update(self, p, gradient, state, group):
            seen.append(FakeDevice.current)

    parameters = [Variable(on(gpu), requires_grad=True) for gpu in (1, 0)]
    for p in parameters:
        p.grad = Variable(on(p.array.device.id))
    Noting([{"params": [p]} for p in parameters], {"lr": 0.1}).step()
    assert seen == [1, 0]
    placed = types.SimpleNamespace(reshape=lambda shape: FakeDevice.current)
    monkeypatch.setattr("tinyvision.tensors.operands.np.full_like", lambda *a, **k: placed)
    assert as_operand(2.0, on(1), "mul") == 1


def test_parameters_of_one_group_are_updated_on_the_gpu_of_each(install):
    install(fake_cupy(count=2))
    assert device.is_available()
    seen = []

    class Together(Optimizer):
        def update_together(self, parameters, group):
            seen.append((FakeDevice.current, [parameters_there.index(p) for p in parameters]))
            return True

    parameters_there = [Variable(on(gpu), requires_grad=True) for gpu in (1, 0, 1)]
    for p in parameters_there:
        p.grad = Variable(on(p.array.device.id))
    Together(parameters_there, {"lr": 0.1}).step()
    assert seen == [(1, [0, 2]), (0, [1])]
    assert [p.version for p in parameters_there] == [1, 1, 1]


def test_gradients_are_clipped_on_the_gpu_of_each(install):
    install(fake_cupy(count=2))
    assert device.is_available()
    seen = []

    class Clipped(FakeArray):
        def clip(self, low, high):
            seen.append((FakeDevice.current, low, high))

        def __setitem__(self, index, value):
            pass

    Clipped.__module__ = "cupy"
    parameters = [Variable(on(gpu), requires_grad=True) for gpu in (1, 0)]
    for p in parameters:
        p.grad = tv.Tensor.of(Clipped(np.ones(2, np.float32), p.array.device.id))
    clip_grad_value_(parameters, 0.5)
    assert seen == [(1, -0.5, 0.5), (0, -0.5, 0.5)]


@pytest.mark.parametrize("number", [1.0, np.inf])
def test_a_scaler_asks_every_gpu_once_for_its_gradients(install, number):
    install(fake_cupy(count=2))
    assert device.is_available()
    seen = []

    class There(FakeArray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            seen.append((FakeDevice.current, self.device.id))
            return getattr(ufunc, method)(*(i.numbers for i in inputs), **options)

    There.__module__ = "cupy"
    gradients = [There([value, 3.0], gpu) for gpu, value in ((1, 1.0), (0, number), (1, 2.0))]
    assert amp._finite(gradients) == np.isfinite(number)
    assert seen == [(1, 1), (1, 1), (0, 0)]


def test_no_kernel_is_handed_arrays_of_two_gpus(install, monkeypatch):
    """The op refuses them by name; a kernel would read memory that is not its GPU's."""
    install(fake_cupy(count=2))
    assert device.is_available()
    kernels.names()
    monkeypatch.setattr(kernels, "_wanted", None)
    pair = ops.conv2d_forward, ops.conv2d_backward
    for places in ((1, 1), (0, 1), (1, 0), (0, 0)):
        shapes = (1, 4, 5, 5), (4, 4, 3, 3)
        arrays = [FakeArray(np.ones(s, np.float32), gpu) for s, gpu in zip(shapes, places, strict=True)]
        assert (kernels.choose(*pair, arrays, {})[0] is pair[0]) == (len(set(places)) == 2)
        assert sgd.applies([arrays[1]], [arrays[1]])
    assert not sgd.applies([on(0), on(1)], [on(0), on(1)])


def test_two_gpus_are_told_apart_at_the_door_of_an_op(install):
    install(fake_cupy(count=2))
    with pytest.raises(errors.DeviceError, match="x is on cuda:0 but weight is on cuda:1"):
        check_devices("linear", x=on(0), weight=on(1))


def test_waiting_for_a_gpu_waits_for_that_one(install):
    install(fake_cupy(count=2))
    device.synchronize("cuda:1")
    assert FakeDevice.waited_for == [1]


def test_what_comes_by_dlpack_is_taken_over_on_its_own_gpu(install):
    class Theirs:
        def __dlpack_device__(self):
            return 2, 1  # kDLCUDA, number 1

        def __dlpack__(self):
            raise AssertionError("the library that takes it asks for this")

    install(fake_cupy(count=2, from_dlpack=lambda source: on(1)))
    assert from_dlpack(Theirs()).device == device.Device("cuda", 1)
    install(fake_cupy(count=1, from_dlpack=raising(AssertionError)))
    device._checked.clear()
    with pytest.raises(errors.DeviceError, match="no GPU number 1"):
        from_dlpack(Theirs())


def test_report_names_everything(install):
    install(fake_cupy())
    assert device.report() == {
        "cupy": "14.2.0",
        "packages": ["cupy-cuda13x"],
        "driver": "13.0",
        "runtime": "13.2",
        "devices": [
            {
                "index": 0,
                "name": "Stand-in GPU",
                "compute_capability": "9.0",
                "memory_gib": 80.0,
                "free_gib": 3.0,
            }
        ],
        "problem": None,
    }


def test_report_without_a_driver(install):
    install(fake_cupy(driver=0, count=raising(INSUFFICIENT)))
    found = device.report()
    assert found["driver"] is None
    assert found["devices"] == []
    assert "no NVIDIA driver" in found["problem"]


# -- precision


def test_precision_reaches_cupy_and_is_put_back(install):
    cupy = install(fake_cupy())
    assert device.is_available()
    cupy.log.clear()
    with device.precision("tf32"):
        assert device.get_precision() == "tf32"
        with device.precision("ieee"):
            pass
    assert cupy.log == [("float32", 7), ("float32", 1), ("float32", 7), ("float32", 1)]
    assert device.get_precision() == "ieee"


def test_precision_chosen_before_the_first_use_of_the_gpu_still_counts(install):
    cupy = install(fake_cupy())
    with device.precision("tf32"):
        assert cupy.log == []  # CuPy's switch raises as long as no GPU is known to work
        device.to_device(np.zeros(2), "cuda")
        assert cupy.log == [("float32", 7)]


def test_tf32_is_refused_where_there_is_none(install, monkeypatch):
    install(fake_cupy())
    assert device.is_available()
    monkeypatch.setattr(FakeDevice, "__init__", lambda self, i: setattr(self, "compute_capability", "75"))
    with pytest.raises(errors.DeviceError, match=r"capability 7\.5.*8\.0"), device.precision("tf32"):
        pass
    assert device.get_precision() == "ieee"


def test_an_unknown_precision_is_refused():
    with pytest.raises(errors.OptionError, match="half"), device.precision("half"):
        pass


# -- batches that travel ahead


def test_prefetch_on_the_cpu_passes_batches_through():
    batches = [(np.ones(2), 1), (np.zeros(2), 2)]
    assert all(a is b for a, b in zip(device.prefetch(batches, "cpu"), batches, strict=True))


def test_prefetch_sends_the_next_batch_before_it_hands_out_the_present_one(install):
    cupy = install(fake_cupy())
    assert device.is_available()
    cupy.log.clear()
    batches = [(np.full(3, i, np.float32), np.array([i])) for i in range(3)]
    seen = []
    for x, y in device.prefetch(batches, "cuda"):
        cupy.log.append("work")
        seen.append((x, y))
    assert [(x.get().tolist(), int(y.get()[0])) for x, y in seen] == [([i] * 3, i) for i in range(3)]
    copies = [i for i, what in enumerate(cupy.log) if what == "copy"]
    work = [i for i, what in enumerate(cupy.log) if what == "work"]
    assert copies[3] < work[0] < copies[4]  # batch 1 is on its way before batch 0 is worked on, batch 2 is not yet
    for start in work:
        assert cupy.log[start - 1] == "main waits"  # for the batch to have arrived
    for i in copies:
        assert cupy.log[i - 2 : i] == ["main records", "side waits"]  # for earlier readers of that memory


def test_prefetch_moves_values_on_the_tape_and_copies_what_it_got(install):
    install(fake_cupy())
    source = np.zeros(2, np.float32)
    (moved,) = device.prefetch([Variable(source)], "cuda")
    source[:] = 5
    assert isinstance(moved, Variable)
    assert moved.array.get().tolist() == [0, 0]


def test_prefetch_reports_memory(install):
    install(fake_cupy(empty=raising(OutOfMemoryError("no room"))))
    with pytest.raises(errors.DeviceError, match="smaller batch"):
        list(device.prefetch([np.ones(2)], "cuda"))


# -- the real thing, as far as it goes without a GPU


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_needs_no_cupy_and_a_blocked_cupy_is_reported_not_raised():
    out = run_python(
        "import sys; import tinyvision; assert 'cupy' not in sys.modules; sys.modules['cupy'] = None\n"
        "import tinyvision.device; d = sys.modules['tinyvision.device']; d._cupy_wheels = list\n"
        "print(d.report()['problem'])"
    )
    assert "not installed" in out


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_the_real_wheel_on_this_machine():
    out = run_python(
        "import sys; import tinyvision; d = sys.modules['tinyvision.device']; found = d.report()\n"
        "print(found); import cupy\n"
        "drivers = cupy.cuda.runtime.driverGetVersion()\n"
        "assert (found['problem'] is None) == d.is_available()\n"
        "assert drivers or 'no NVIDIA driver' in found['problem']\n"
        "with d.precision('tf32'): pass"
    )
    assert "'cupy': '" in out


# -- capturing


class FakeGraphStream(FakeStream):
    def __enter__(self):
        self.log.append("on side")
        return self

    def __exit__(self, *exception):
        self.log.append("off side")

    def begin_capture(self):
        self.log.append("begin")

    def end_capture(self):
        self.log.append("end")
        return types.SimpleNamespace(launch=lambda stream: self.log.append("launch"))


def with_graphs(cupy):
    @contextlib.contextmanager
    def using_allocator(allocator):
        cupy.log.append("private pool")
        yield
        cupy.log.append("usual pool")

    cupy.cuda.Stream = lambda non_blocking: FakeGraphStream(cupy.log, "side")
    cupy.cuda.MemoryPool = lambda: types.SimpleNamespace(malloc=None)
    cupy.cuda.using_allocator = using_allocator
    return cupy


def test_capture_records_on_a_side_stream_from_a_private_pool_and_replays_in_order(install):
    cupy = install(with_graphs(fake_cupy()))
    assert device.is_available()
    cupy.log.clear()
    result, replay = capturing.capture(lambda: cupy.log.append("work") or "result")
    assert result == "result"
    assert cupy.log == [
        "main synchronizes", "on side", "private pool", "begin", "work", "end", "usual pool", "off side",
    ]  # fmt: skip
    cupy.log.clear()
    replay()
    assert cupy.log == ["main records", "side waits", "launch", "side records", "main waits"]


def test_a_failing_capture_is_ended(install):
    cupy = install(with_graphs(fake_cupy()))
    with pytest.raises(KeyError):
        capturing.capture(raising(KeyError("x")))
    assert "end" in cupy.log


def test_a_folder_named_cupy_is_not_taken_for_it(monkeypatch, tmp_path):
    folder = types.ModuleType("cupy")
    folder.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, "cupy", folder)
    assert f"a folder named cupy ({tmp_path}) is in its place" in device.cuda_problem(7)
    assert device.report()["cupy"] is None


def test_where_there_is_no_cupy_scripts_may_ask_for_every_batch(monkeypatch):
    """To read the metadata of all packages takes a hundred times as long as to look for one module."""
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(device, "_checked", {})
    monkeypatch.setattr(device, "_cupy_wheels", lambda: pytest.fail("all packages were looked through"))
    assert not tv.cuda.is_available()
    assert "CuPy is not installed" in device.cuda_problem()
