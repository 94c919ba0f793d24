"""torch.utils.tensorboard's writer, as scripts use it: tensors go into event files."""

import sys

import pytest

import tinyvision as tv
from tinyvision.errors import OptionError


def values(folder):
    """{tag: [(step, value), ...]} of the scalars of a folder's event file, and the tags of all else."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (path,) = folder.glob("events*")
    data, scalars, others = path.read_bytes(), {}, set()
    while data:  # length (8 bytes), its checksum (4), an event, its checksum (4)
        length = int.from_bytes(data[:8], "little")
        event = event_pb2.Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
            else:
                others.add(value.tag)
    return scalars, others


def test_tensors_are_written(tmp_path):
    pytest.importorskip("tensorboardX")
    from tinyvision.utils.tensorboard import SummaryWriter

    parameter = tv.nn.Parameter(tv.tensor([1.0, 2.0]))
    with SummaryWriter(log_dir=tmp_path) as writer:
        writer.add_scalar("loss/train", parameter.sum(), 3)
        writer.add_scalar("loss/train", tv.tensor(0.5), global_step=4)
        writer.add_scalar("lr", 0.25, 1)
        writer.add_histogram("weights", parameter, 0)
        writer.add_image("picture", tv.rand(3, 4, 5), 0)
        writer.flush()
        assert writer.get_logdir() == str(tmp_path)
        with pytest.raises(OptionError, match=r"torch\.onnx\.export"):
            writer.add_graph(tv.nn.Linear(2, 2), parameter)
    scalars, others = values(tmp_path)
    assert scalars == {"loss/train": [(3, 3.0), (4, 0.5)], "lr": [(1, 0.25)]}
    assert others == {"weights", "picture"}


def test_without_tensorboardx_it_says_what_to_install(monkeypatch):
    from tinyvision.utils.tensorboard import SummaryWriter

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(OptionError, match=r"pip install 'tinyvision\[tensorboard\]'"):
        SummaryWriter()
