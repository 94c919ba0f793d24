"""`tinyvision gradcheck` on files of a project: packages, relative imports, twins, losses, and what cannot be read."""

import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.fixture
def project(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("/init/", "__init__")
            path = path.with_name("__init__.py") if path.name == "INIT" else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return tmp_path

    return write


def gradcheck(folder, target, op, *more):
    command = [sys.executable, "-m", "tinyvision", "gradcheck", target, "--op", op, *more]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return told.returncode, " ".join((told.stdout + told.stderr).split())


RELU = """
    class ReLU(Layer):
        def forward(self, x):
            self.mask = x <= 0
            return np.where(self.mask, 0, x)

        def backward(self, dout):
            dout[self.mask] = 0
            return dout
"""


@pytest.mark.parametrize("line", ["from .base import Layer", "from nn.layers.base import Layer"])
@pytest.mark.parametrize("package", [True, False], ids=["package", "folders"])
def test_a_file_is_read_as_part_of_its_project(project, line, package):
    files = {"nn__layers__base": "class Layer:\n    pass\n",
             "nn__layers__act": f"import numpy as np\n{line}\n" + dedent(RELU)}  # fmt: skip
    if package:
        files.update(nn__INIT="", nn__layers__INIT="from .act import ReLU\n")
    code, told = gradcheck(project(**files), "nn/layers/act.py:ReLU", "relu")
    assert code == 0, told
    assert "changes its dy in place" in told


def test_what_a_package_lacks_is_said(project):
    """What is asked for would have come from the line that did not run: that is told, and not that it is missing."""
    folder = project(nn__layers="from nn.missing import Layer\n")
    code, told = gradcheck(folder, "nn/layers.py:ReLU", "relu")
    assert code == 1
    assert "No module named 'nn.missing'" in told


LOSS = """
    import numpy as np

    def softmax_loss(x, y):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        n = len(x)
        loss = -np.log(p[np.arange(n), y]).mean()
        p[np.arange(n), y] -= 1
        return loss, p{}
"""


@pytest.mark.parametrize(("end", "code"), [(" / n", 0), ("", 1)])
def test_a_loss_that_returns_its_own_gradient_stands_alone(project, end, code):
    got, told = gradcheck(project(losses=LOSS.format(end)), "losses.py:softmax_loss", "cross_entropy")
    assert got == code, told


TWIN = """
    def affine_forward_fast(x, w, b):
        return x @ w + b, (x, w)

    def affine_backward_fast(dout, cache):
        x, w = cache
        return dout @ w.T, x.T @ dout, dout.sum(0)
"""


@pytest.mark.parametrize("name", ["affine_forward_fast", "affine_backward_fast"])
def test_either_of_two_twins_leads_to_the_other(project, name):
    code, told = gradcheck(project(layers=TWIN), f"layers.py:{name}", "linear")
    assert code == 0, told
    assert "Checked together with affine_" in told


def test_an_exception_on_plain_probes_is_what_is_shown(project):
    folder = project(
        layers="""
        import numpy as np

        def conv_forward_naive(x, w, b, conv_param):
            height = (x.shape[2] - w.shape[2]) / conv_param["stride"] + 1
            return np.zeros((len(x), len(w), height, height)), None

        def conv_backward_naive(dout, cache):
            x, w = cache
            return None, None, None
        """
    )
    code, told = gradcheck(folder, "layers.py:conv_backward_naive", "conv2d")
    assert code == 1
    assert "TypeError: 'float' object cannot be interpreted as an integer" in told
    assert "layers.py:6" in told


def test_what_cannot_be_called_is_not_called_wrong(project):
    folder = project(
        layers="""
        class Layer:
            def forward(self, x, context_of_the_author):
                return context_of_the_author.run(x)

            def backward(self, dy):
                return dy
        """
    )
    code, told = gradcheck(folder, "layers.py:Layer", "relu")
    assert code == 3
    assert "could not be driven: there was nothing to hand over as context_of_the_author" in told
    assert "forward WRONG" not in told


RAISING = """
class Layer:
    def __init__(self, n_in, n_out):
        self.W = np.ones((n_in, n_out))

    def forward(self, x):
        return {}

    def backward(self, dy):
        return dy
"""


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        ("self.of_the_network.scale * x", 3, "could not be driven: forward raised AttributeError"),
        ("x.dot(self.W)[10_000]", 3, "could not be driven: forward raised IndexError"),
        ("x.dot(W)", 1, "forward raised NameError"),
    ],
)
def test_a_layer_that_raises_however_it_is_called_is_told_apart_from_a_wrong_one(project, raised, code, says):
    folder = project(layers="import numpy as np\n" + RAISING.format(raised))
    ended, told = gradcheck(folder, "layers.py:Layer", "linear")
    assert ended == code, told
    assert says in told
    assert ("forward WRONG" in told) == (code == 1)
    assert ("--make" in told) == (code == 3)
    assert "layers.py:8" in told


def test_a_package_in_a_folder_that_is_none_and_with_a_file_of_its_own_name(project):
    """My-Network/__init__.py, and network/network.py, which hides the package from its own files."""
    folder = project(**{
        "My-Network__INIT": "", "My-Network__network__INIT": "", "My-Network__network__network": "x = 1\n",
        "My-Network__network__layers__INIT": "from .base import Layer\n",
        "My-Network__network__layers__base": "class Layer:\n    pass\n",
        "My-Network__network__layers__act": "import numpy as np\nfrom . import Layer\nfrom network.layers import base\n"
        + dedent(RELU),
    })  # fmt: skip
    code, told = gradcheck(folder / "My-Network", "network/layers/act.py:ReLU", "relu")
    assert code == 0, told


OF_PYTHON_2 = """
    import numpy as np

    def affine_forward(x, w, b):
        return x.reshape(len(x), x.size / len(x)) @ w + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, b = cache
        return dout @ w.T, x.T @ dout, dout.sum(0)
"""


def test_a_backward_whose_forward_only_raises_is_not_judged_by_another_cache(project):
    code, told = gradcheck(project(layers=OF_PYTHON_2), "layers.py:affine_backward", "linear")
    assert code == 1
    assert "cannot be interpreted as an integer" in told
    assert "dy @ weight" not in told  # which weights (D, M) do not deserve
