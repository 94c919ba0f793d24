"""Type hints: every public function has them, and a type checker finds users' mistakes, not ours."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import tinyvision

PACKAGE = Path(tinyvision.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
DUNDERS_SPOKEN_FOR = {"__getattr__"}  # hidden from type checkers on purpose (see `tinyvision/__init__.py`)


def public_functions(path):
    """(dotted name, node, whether it is bound to an object) of what a user can call: no private names, no closures.

    A private class counts if another class of its file inherits from it: its methods are then public ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bases = {ast.unparse(b) for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for b in c.bases}

    def walk(body, prefix):
        for node in body:
            if isinstance(node, ast.If):
                yield from walk(node.body + node.orelse, prefix)
            elif isinstance(node, ast.ClassDef) and (not node.name.startswith("_") or node.name in bases):
                yield from walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                dunder = node.name.startswith("__") and node.name not in DUNDERS_SPOKEN_FOR
                if dunder or not node.name.startswith("_"):
                    static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
                    yield f"{prefix}{node.name}", node, bool(prefix) and not static

    yield from walk(tree.body, "")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_public_function_has_complete_hints(path):
    bare = []
    for name, node, bound in public_functions(path):
        a = node.args
        arguments = [*a.posonlyargs, *a.args][bound:] + a.kwonlyargs + [v for v in (a.vararg, a.kwarg) if v]
        missing = [v.arg for v in arguments if v.annotation is None] + ["return"] * (node.returns is None)
        if missing:
            bare.append(f"{name}: {', '.join(missing)}")
    assert not bare


def test_the_search_for_bare_functions_finds_them(tmp_path):
    """The test above could not fail if it looked at nothing."""
    path = tmp_path / "m.py"
    path.write_text("class _B:\n  def f(self, x): ...\nclass C(_B):\n  def __len__(self): ...\n  def _g(self): ...\n")
    assert [name for name, _, _ in public_functions(path)] == ["_B.f", "C.__len__"]
    assert sum(len(list(public_functions(p))) for p in FILES) > 500


# What users write. `nn.Module.__call__` returns Any, as in PyTorch, so the strict rule `warn_return_any` is left out.
SCRIPT = """
import numpy as np
import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.data import ArrayDataset, DataLoader
from tinyvision.device import Device
from tinyvision.models import resnet18
from tinyvision.nn import functional as F
from tinyvision.nn.utils import clip_grad_norm_
from tinyvision.utils.data import Subset, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.features = nn.Sequential(self.conv, self.norm, nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(8 * 16 * 16, classes)

    def forward(self, x: tv.Tensor) -> tv.Tensor:
        x = self.features(x)
        return self.fc(F.dropout(x.view(x.size(0), -1), 0.5, self.training))


def train(model: nn.Module, loader: DataLoader, device: Device | str, epochs: int) -> float:
    model.to(device).train()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    total = 0.0
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss: tv.Tensor = criterion(model(images.to(device)), labels.to(device))
            loss.backward()
            clip_grad_norm_(model.parameters(), 1.0)
            nn.utils.clip_grad_value_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        schedule.step()
    return total


@tv.no_grad()
def accuracy(model: nn.Module, loader: DataLoader) -> float:
    model.eval()
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in loader)
    return right / len(loader)


def fine_tune(path: str) -> dict[str, np.ndarray]:
    model = resnet18(weights="IMAGENET1K_V1")
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, 2)
    model.load_state_dict(tv.load(path), strict=False)
    tv.save(model.state_dict(), path)
    with tv.no_grad():
        scores: tv.Tensor = model.fuse()(tv.randn(1, 3, 224, 224))
    best = tv.max(scores, 1)
    array: np.ndarray = scores.softmax(dim=1).cpu().numpy()
    x = tv.tensor([[1.0, 2.0]], requires_grad=True)
    y = (x * 2 + 1 - x / 3) ** 2 @ x.T
    y.sum().backward()
    print(tuple(x.shape), x.dtype, x.device, x.grad, best, f"{y.item():.3f}")
    return {"scores": array}


parts: list[Subset] = random_split(TensorDataset(tv.zeros(8, 3), tv.zeros(8)), [6, 2])
batch = next(iter(tv.utils.data.DataLoader(parts[0], batch_size=2)))
images, labels = np.zeros((8, 32, 32, 3), np.uint8), np.zeros(8, np.int64)
print(train(Net(), DataLoader(ArrayDataset(images, labels), batch_size=4, shuffle=True), "cpu", 1))
"""

# One mistake on a line, and the word that mypy's message about it must contain.
MISTAKES = {
    'nn.Conv2d("3", 8, 3)': "Argument 1",
    "nn.Linear(3)": "out_features",
    "nn.Conv2d(3, 8, kernel=3)": "kernel",
    "optim.SGD(nn.Linear(1, 1).parameters(), lr='fast')": "lr",
    "tv.tensro([1.0])": "tensro",
    "tv.zeros(3).shapes": "shapes",
    "tv.zeros(3).sum(dimension=0)": "dimension",
    "nn.Linear(1, 1).train('yes')": "train",
    "tv.utils.data.DataLader": "DataLader",
    "nn.utils.clip_grad_norm([])": "clip_grad_norm",
    "tv.manual_seed('seed')": "manual_seed",
    "tv.models.resnet18(num_classes='two')": "num_classes",
    "ops.conv2d_forward(tv.zeros(3).array)": "weight",
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory, request):
    """{file: {line: message}}: what mypy says about both scripts, in one run."""
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "right.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "wrong.py").write_text(
        "\n".join(["import tinyvision as tv; from tinyvision import nn, ops, optim", *MISTAKES, ""]), encoding="utf-8"
    )
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = True\nwarn_return_any = False\ndisallow_any_generics = False\n"
        "[mypy-tinyvision.*]\nfollow_imports = silent\n",  # as for any installed package, whose insides are not judged
        encoding="utf-8",
    )
    environment = {k: v for k, v in os.environ.items() if k != "MYPYPATH"}
    if PACKAGE.parent.name != "site-packages":
        environment["MYPYPATH"] = str(PACKAGE.parent)
    kept = getattr(request.config, "cache", None)  # -p no:cacheprovider takes it away
    cache = folder / "cache" if kept is None else kept.mkdir("mypy")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", str(cache), "right.py", "wrong.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found = {"right.py": {}, "wrong.py": {}}
    for line in result.stdout.splitlines():
        name, number, kind, message = [*line.split(":", 3), "", "", ""][:4]
        if kind.strip() == "error":
            found[name][int(number)] = message.strip()
    return found


def test_a_users_scripts_have_no_type_errors(findings):
    assert findings["right.py"] == {}


@pytest.mark.parametrize(("number", "mistake"), list(enumerate(MISTAKES, start=2)))
def test_a_type_checker_reports(findings, number, mistake):
    assert MISTAKES[mistake] in findings["wrong.py"].get(number, "nothing is reported")
