"""`tinyvision gradcheck` on a file of one's own, with a planted mistake of each op; and checks from a notebook."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tinyvision import OptionError
from tinyvision.check import runner
from tinyvision.cli import main
from tinyvision.device import is_available
from tinyvision.learn import check_exercise, worker
from tinyvision.learn.gradcheck import op_named

MINE = Path(__file__).with_name("planted.py")

PLANTED = {
    "linear": ("linear_backward", "linear.dbias."),
    "relu": ("relu_backward", "relu.dx."),
    "conv2d": ("conv_backward", "conv2d.dx.cropped_at_zero"),
    "maxpool2d": ("maxpool_backward", "maxpool2d.dx."),
    "avgpool2d": ("avgpool_backward", "avgpool2d.dx."),
    "batchnorm_train": ("batchnorm_backward", "batchnorm_train.dx."),
    "cross_entropy": ("cross_entropy_backward", "cross_entropy.dlogits."),
    "softmax": ("softmax_backward", "softmax.dx."),
    "add": ("add_backward", "add.db."),
    "dropout": ("dropout_backward", "dropout.dx."),
    "im2col": ("im2col_backward", "im2col.dx."),
    "col2im": ("col2im_backward", "col2im.dcolumns."),
    "sgd": ("sgd", "sgd.weight."),
}


def told(capsys, *words):
    code = main(["gradcheck", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("op", PLANTED)
def test_a_planted_mistake_of_each_op_is_named(capsys, op):
    function, mistake = PLANTED[op]
    forward = function.replace("backward", "forward")
    words = [] if op == "sgd" else ["--forward", forward]
    code, out, _ = told(capsys, f"{MINE}:{function}", "--op", op, "--json", *words)
    answer = json.loads(out)
    assert code == 1
    assert [f["mistake"] for f in answer["findings"]] != []
    assert all((f["mistake"] or "").startswith(mistake) for f in answer["findings"]), answer["findings"]
    assert all(f["certainty"] == "exact" for f in answer["findings"])
    assert os.path.basename(answer["findings"][0]["file"]) == MINE.name


def test_the_report_is_printed_and_saved(capsys, tmp_path):
    html = tmp_path / "report.html"
    words = ("--op", "conv2d", "--forward", "conv_forward", "--html", str(html))
    code, out, _ = told(capsys, f"{MINE}:conv_backward", *words)
    assert code == 1
    assert "You cropped the padded gradient at [:H, :W]" in " ".join(out.split())
    assert "planted.py:" in out
    assert "<html" in html.read_text(encoding="utf-8")
    assert told(capsys, str(MINE), "--op", "conv2d", "--forward", "conv_forward")[0] == 0


def test_a_foreign_cache_is_explained(capsys):
    code, out, _ = told(capsys, f"{MINE}:conv_backward", "--op", "conv2d")
    assert code == 1
    assert "--forward conv_forward" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py:f", "--op", "conv2d"], "none.py is not there"),
        ([f"{MINE}:conv_back", "--op", "conv2d"], "did you mean conv_backward"),
        ([str(MINE), "--op", "conv2d"], "which function"),
        ([f"{MINE}:conv_backward", "--op", "conv3d"], "known are linear"),
        ([f"{MINE}:conv_backward", "--op", "conv2d", "--time-limit", "never"], "time limit"),
    ],
)
def test_wrong_words(capsys, words, message):
    code, _, err = told(capsys, *words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.py:f"], "none.py is not there"),
        ([".:f"], "cannot read "),
        (["latin.py:f"], "is not text in UTF-8"),
        ([f"{MINE}:conv_backward", "--forward", "none.py:f"], "none.py is not there"),
        ([f"{MINE}:conv_backward", "--time-limit", "never"], "the time limit is a number of seconds above 0"),
        ([f"{MINE}:conv_backward", "--html", "nowhere/report.html"], "there is no folder nowhere"),
        ([f"{MINE}:conv_backward", "--html", "latin.py"], "the page is a .html"),
        ([f"{MINE}:conv_backward", "--html", "."], "the page is a .html"),
    ],
)
def test_errors_bear_the_name_of_the_command(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("latin.py").write_bytes(b"# \xe9\n")
    code, out, err = told(capsys, *words, "--op", "conv2d")
    assert (code, out) == (2, "")
    assert err.startswith("tinyvision: gradcheck: ")
    assert message in err
    assert "learn" not in err


@pytest.mark.parametrize("task", ["gradcheck", "judge"])
def test_out_of_memory_is_said_by_the_command(monkeypatch, task):
    def greedy(*arguments):
        raise MemoryError

    monkeypatch.setattr("tinyvision.learn.gradcheck.examine", greedy)
    monkeypatch.setattr("tinyvision.learn.judge.judge", greedy)
    answer = worker._answer({"task": task, "name": "sgd", "path": "sgd.py"})
    assert (
        answer
        == {  # of an exercise it is an attempt that failed, and of a check an error
            "gradcheck": {"error": "gradcheck: out of memory: an array in your code is too large"},
            "judge": {"ended": "It ran out of memory: an array in your code is too large."},
        }[task]
    )


def test_in_a_notebook():
    assert check_exercise("relu_backward", lambda dy, x: dy * (x > 0)).passed
    report = check_exercise("relu_backward", lambda dy, x: dy)
    assert not report.passed
    assert report.findings[0].mistake == "relu.dx.no_mask" or report.findings[0].mistake.startswith("relu.dx")
    assert check_exercise("dropout", dropout_backward=lambda dy, c: dy * c[0] / (1 - c[1]),
                          dropout_forward=lambda x, mask, p: np.where(mask, x, 0) / (1 - p)).passed  # fmt: skip
    with pytest.raises(OptionError, match="did you mean"):
        check_exercise("relu_backwards", abs)
    with pytest.raises(OptionError, match="also asks for dropout_backward"):
        check_exercise("dropout", abs)
    with pytest.raises(OptionError, match="you gave 2"):
        check_exercise("sgd", abs, abs)
    report = check_exercise("relu_backward", lambda dy, x: 1 / 0)
    assert "ZeroDivisionError" in str(report)


@pytest.mark.parametrize(("device", "says"), [("gpu", "gpu"), ("cuda", "cuda")])
def test_a_device_that_cannot_be_used_is_an_error_with_a_remedy(capsys, device, says):
    if device == "cuda" and is_available():
        pytest.skip("this machine has a GPU")
    code, out, err = told(capsys, f"{MINE}:relu_backward", "--op", "relu", "--device", device)
    assert code == 2
    assert not out
    assert says in err


def test_the_device_may_be_named(capsys):
    code, _, _ = told(capsys, f"{MINE}:relu_backward", "--op", "relu", "--device", "cpu")
    assert code == 1


NAMES = {
    "Conv2D": "conv2d", "MaxPool2D.backward": "maxpool2d", "avg_pool_backward": "avgpool2d", "FCLayer": "linear",
    "SoftmaxCE": "cross_entropy", "SoftMax": "softmax", "LeakyReLU": "leaky_relu", "relu_backward": "relu",
    "ELU": "elu", "BatchNorm1d": "batchnorm_train", "affine_backward": "linear", "Swish": "silu",
}  # fmt: skip


@pytest.mark.parametrize(("name", "op"), NAMES.items())
def test_the_name_of_a_layer_tells_its_op(name, op):
    assert op_named(name) == op


@pytest.mark.parametrize("name", ["Layer", "Flatten", "Conv1D", "ConvTranspose2d", "BinaryCrossEntropy", "SELU", "RNN"])
def test_a_name_that_does_not_tell_is_asked_about(name):
    with pytest.raises(OptionError, match=f"which op is {name}.*--op is one of linear, relu"):
        op_named(name)


def test_a_check_without_op_says_what_the_layer_was_taken_for(capsys, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(LEAKY)
    code, out, _ = told(capsys, f"{mine}:LeakyReLU", "--json")
    answer = json.loads(out)
    assert code == 1
    assert [f["mistake"] for f in answer["findings"]] == ["leaky_relu.dx.one_for_positive"]
    assert answer["notes"][0].startswith("Taken for leaky_relu by its name")


LEAKY = """import numpy as np

class LeakyReLU:
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0.01 * x)

    def backward(self, dy):
        return np.where(self.x > 0, 1, 0.01 * dy)
"""


ABSENT = """import settings

def relu_forward(x):
    return (x + abs(x)) / (1 + settings.options["logs"]), x

def relu_backward(dy, cache):
    return dy * (cache > 0)
"""


def test_code_that_uses_what_is_not_there_is_not_called_wrong(capsys, tmp_path):
    (tmp_path / "absent.py").write_text(ABSENT)
    code, out, _ = told(capsys, f"{tmp_path / 'absent.py'}:relu_backward", "--op", "relu", "--forward", "relu_forward")
    assert code == 3
    assert "settings.options is used, and is not installed here" in " ".join(out.split())


def test_a_package_is_found_in_a_folder_of_another_name(capsys, tmp_path):
    project = tmp_path / "mynet-main"
    (project / "nn").mkdir(parents=True)
    (project / "nn" / "base.py").write_text("class Layer:\n    pass\n")
    layers = "from mynetpackage.nn.base import Layer\n\nclass ReLU(Layer):\n    def forward(self, x):\n"
    layers += "        self.mask = x > 0\n        return x * self.mask\n\n    def backward(self, dy):\n"
    (project / "nn" / "layers.py").write_text(layers + "        return dy * self.mask\n")
    code, out, _ = told(capsys, f"{project / 'nn' / 'layers.py'}:ReLU")
    assert (code, "ok relu" in out) == (0, True)


def test_a_file_that_is_nested_too_deeply_is_called_so(capsys, tmp_path):
    (mine := tmp_path / "mine.py").write_text("def relu_backward(dy, x):\n    return " + "-" * 100_000 + "1\n")
    assert main(["gradcheck", f"{mine}:relu_backward", "--op", "relu"]) == 1
    assert "Python cannot read the file: it is nested too deeply" in " ".join(capsys.readouterr().out.split())


def test_an_exception_that_cannot_say_anything_is_known_by_its_name():
    class Dumb(Exception):
        def __str__(self):
            raise ValueError

    assert runner.words_of(Dumb()) == ""
    assert runner.described(Dumb()) == "Dumb"
