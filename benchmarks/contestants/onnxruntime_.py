"""ONNX Runtime: inference of what PyTorch exports, with batch-norm folded and memory planned ahead."""

import io

NAME = "ONNX Runtime"

_threads = 1


def version():
    """ONNX Runtime's version. Raises ImportError."""
    import onnxruntime

    return onnxruntime.__version__


def set_threads(threads):
    """Threads of the sessions that are made from now on."""
    global _threads
    _threads = threads


def resnet_inference(state, x):
    """A session of ResNet-18."""
    from . import pytorch

    return [_session(pytorch.networks()[1](), state, x)]


def network_inference(name, state, x):
    """A session of one of `architectures`."""
    from . import pytorch

    return [_session(pytorch.network(name), state, x)]


def _session(network, state, x):
    import onnxruntime
    import torch

    from . import Entry

    network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in state.items()}, strict=False)
    file = io.BytesIO()
    torch.onnx.export(network.eval(), (torch.from_numpy(x),), file, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads, 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])

    def run():
        return session.run(None, {"x": x})[0]

    return Entry(NAME, run, lambda: {"logits": run()}, NAME)
