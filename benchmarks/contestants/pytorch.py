"""PyTorch: eager in both memory layouts, and frozen for inference."""

import functools
import warnings

NAME = "PyTorch"
LAYOUTS = {"PyTorch": "contiguous_format", "PyTorch channels-last": "channels_last"}


def version():
    """PyTorch's version. Raises ImportError."""
    import torch

    return torch.__version__


def set_threads(threads):
    """Threads within an op."""
    import torch

    torch.set_num_threads(threads)


def _entry(name, run, results, family=NAME):
    from . import Entry

    return Entry(name, run, results, family)


def _in(layout, *arrays):
    import torch

    return [torch.from_numpy(a).contiguous(memory_format=getattr(torch, layout)) for a in arrays]


def _numpy(tensor):
    return tensor.detach().contiguous().numpy()


def conv_forward(layer, x, weight):
    """`torch.nn.functional.conv2d` in both layouts."""
    import torch

    return [_conv_forward(name, layer, *_in(layout, x, weight), torch) for name, layout in LAYOUTS.items()]


def _conv_forward(name, layer, x, weight, torch):
    def run():
        with torch.inference_mode():
            return torch.nn.functional.conv2d(x, weight, stride=layer.stride, padding=layer.padding)

    return _entry(name, run, lambda: {"y": _numpy(run())})


def _conv_gradient(layer, x, weight, dy, mask, which):
    return [_one_gradient(name, layer, _in(layout, dy, x, weight), mask, which) for name, layout in LAYOUTS.items()]


def _one_gradient(name, layer, tensors, mask, which):
    """The same function that autograd calls, asked for one of its gradients."""
    import torch

    stride, padding = [layer.stride] * 2, [layer.padding] * 2

    def run():
        with torch.inference_mode():
            return torch.ops.aten.convolution_backward(*tensors, None, stride, padding, [1, 1], False, [0, 0], 1, mask)[
                mask.index(True)
            ]

    return _entry(name, run, lambda: {which: _numpy(run())})


def conv_image_gradient(layer, x, weight, dy):
    """dx alone."""
    return _conv_gradient(layer, x, weight, dy, [True, False, False], "dx")


def conv_weight_gradient(layer, x, weight, dy):
    """dweight alone."""
    return _conv_gradient(layer, x, weight, dy, [False, True, False], "dweight")


def conv_both(layer, x, weight, dy):
    """Forward and backward through autograd, in both layouts."""
    return [_conv_both(name, layer, *_in(layout, x, weight, dy)) for name, layout in LAYOUTS.items()]


def _conv_both(name, layer, x, weight, dy):
    import torch

    x.requires_grad_()
    weight.requires_grad_()

    def run():
        x.grad = weight.grad = None
        y = torch.nn.functional.conv2d(x, weight, stride=layer.stride, padding=layer.padding)
        y.backward(dy)
        return y

    return _entry(name, run, lambda: {"y": _numpy(run()), "dx": _numpy(x.grad), "dweight": _numpy(weight.grad)})


@functools.cache
def networks():
    """(SimpleCNN, ResNet18): the same networks in PyTorch, with the same parameter names."""
    from torch import nn

    class SimpleCNN(nn.Module):
        def __init__(self, in_channels=3, classes=10, size=24):
            super().__init__()
            self.conv1 = nn.Conv2d(in_channels, 32, 3, padding=1)
            self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
            self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
            self.fc1 = nn.Linear(64 * (size // 4) ** 2, 128)
            self.fc2 = nn.Linear(128, classes)

        def forward(self, x):
            x = self.pool(self.relu(self.conv1(x)))
            x = self.pool(self.relu(self.conv2(x)))
            return self.fc2(self.relu(self.fc1(x.reshape(x.size(0), -1))))

    class BasicBlock(nn.Module):
        def __init__(self, inputs, planes, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(planes)
            self.downsample = None
            if stride != 1:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
                )

        def forward(self, x):
            identity = x if self.downsample is None else self.downsample(x)
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += identity
            return self.relu(out)

    class ResNet18(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
            for number, planes in enumerate((64, 128, 256, 512)):
                first = BasicBlock(planes // 2 if number else 64, planes, 2 if number else 1)
                setattr(self, f"layer{number + 1}", nn.Sequential(first, BasicBlock(planes, planes, 1)))
            self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 1000)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(self.avgpool(x).flatten(1))

    return SimpleCNN, ResNet18


def _loaded(network, state, layout="contiguous_format"):
    import torch

    network.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in state.items()})
    return network.to(memory_format=getattr(torch, layout))


def _step(name, model, optimizer, x, labels):
    import torch

    labels, criterion = torch.from_numpy(labels), torch.nn.CrossEntropyLoss()
    model.train()

    def run():
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def results():
        found = {"loss 1": run()}
        found.update({f"gradient {name}": _numpy(p.grad).copy() for name, p in model.named_parameters()})
        return found | {"loss 2": run(), "loss 3": run()}

    return _entry(name, run, results)


def cnn_step(state, x, labels, lr):
    """A step of `torch.optim.SGD`, in both layouts."""
    import torch

    entries = []
    for name, layout in LAYOUTS.items():
        model = _loaded(networks()[0](x.shape[1], 10, x.shape[2]), state, layout)
        entries.append(_step(name, model, torch.optim.SGD(model.parameters(), lr=lr), *_in(layout, x), labels))
    return entries


def resnet_step(state, x, labels, lr, momentum, decay, layouts=LAYOUTS):
    """A step of `torch.optim.SGD` with momentum, in both layouts."""
    import torch

    entries = []
    for name in layouts:
        model = _loaded(networks()[1](), state, LAYOUTS[name])
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=decay)
        entries.append(_step(name, model, optimizer, *_in(LAYOUTS[name], x), labels))
    return entries


def network(name):
    """One of `architectures`."""
    import torch

    from .. import architectures

    nn = torch.nn
    return architectures.unet(nn, torch.cat) if name == "unet" else architectures.efficientnet_lite0(nn)


def network_step(name, state, x, labels, lr):
    """A step of `torch.optim.SGD` for one of `architectures`, in both layouts."""
    import torch

    from . import one_gradient

    entries = []
    for entry, layout in LAYOUTS.items():
        model = _loaded(network(name), state, layout)
        made = _step(entry, model, torch.optim.SGD(model.parameters(), lr=lr), *_in(layout, x), labels)
        entries.append(made._replace(results=lambda made=made: one_gradient(made.results())))
    return entries


def network_inference(name, state, x):
    """Eager, in both layouts."""
    return [
        _inference(entry, _loaded(network(name), state, layout).eval(), _in(layout, x)[0], NAME)
        for entry, layout in LAYOUTS.items()
    ]


def resnet_inference(state, x, frozen=True):
    """Eager, and `torch.jit.optimize_for_inference` of the frozen graph, each in both layouts."""
    entries = []
    for name, layout in LAYOUTS.items():
        model, images = _loaded(networks()[1](), state, layout).eval(), _in(layout, x)[0]
        entries.append(_inference(name, model, images, NAME))
        if frozen:
            graph = _frozen(model, images)
            entries.append(_inference(name.replace(NAME, f"{NAME} frozen"), graph, images, f"{NAME} frozen"))
    return entries


def _frozen(model, images):
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # torch.jit is deprecated, and is still PyTorch's quickest graph without a compiler
        graph = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))
        for _ in range(3):  # its profiling executor optimises during the first calls
            graph(images)
    return graph


def _inference(name, model, images, family):
    import torch

    def run():
        with torch.inference_mode():
            return model(images)

    return _entry(name, run, lambda: {"logits": _numpy(run())}, family)
