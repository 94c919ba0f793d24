"""The command line: what it prints where, its exit codes, and how it answers mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import tinyvision
from tinyvision import nn, train
from tinyvision.cli import main

ROOT = str(Path(tinyvision.__file__).parents[1])
QUICK = ["train", "--epochs", "1", "--quiet"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test in an empty folder, with an empty cache, without the curves, which take longer than the
    training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


def environment():
    """What a process of ours is started with; a test may have changed some of it."""
    return {**os.environ, "PYTHONPATH": ROOT + os.pathsep + os.environ.get("PYTHONPATH", "")}


def tinyvision_process(*arguments, **options):
    return python_process("-m", "tinyvision", *arguments, **options)


def python_process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


def call(*arguments):
    """The exit code, where argparse's own exit counts too."""
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return stop.code


def picture(path, seed=0, size=(8, 8)):
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        assert call(*QUICK, "--run", str(folder)) == 0
    return folder


# -- help


@pytest.mark.parametrize(
    "command", ["train", "predict", "evaluate", "compare", "search", "faces", "transfer", "info", "datasets", "doctor"]
)
def test_help(command, capsys):
    assert call("--help") == 0
    assert command in capsys.readouterr().out
    assert call(command, "--help") == 0
    text = capsys.readouterr().out
    assert "--debug" in text
    assert "None" not in text
    if command not in ("datasets", "doctor"):
        assert f"tinyvision {command} " in text.partition("examples:")[2]


def test_version(capsys):
    assert call("--version") == 0
    assert capsys.readouterr().out == f"tinyvision {tinyvision.__version__}\n"


# -- mistakes: one line on stderr, exit code 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["trian"], "'trian' is no command; did you mean train?"),
        (["train", "--epoch", "3"], "unknown option --epoch; did you mean --epochs?"),
        (["train", "--epochs", "many"], "expected a whole number, got 'many'"),
        (["train", "--epochs", "0"], "expected a whole number from 1, got 0"),
        (["train", "--data", "digit"], "did you mean 'digits'?"),
        (["train", "--model", "resnet19"], "did you mean 'resnet18'?"),
        (["train", "--device", "gpu"], 'expected "cpu", "cuda", "cuda:N" or the number of a GPU, got \'gpu\''),
        (["train", "--device", "cdua"], "did you mean cuda?"),
        (["train", "--optimizer", "adm"], "did you mean 'adam'?"),
        (["train", "--schedule", "cosin"], "did you mean 'cosine'?"),
        (["train", "--augment", "of"], "'of' is no value for --augment; did you mean off?"),
        (["train", "--lr", "-1"], "lr must be a number above 0, got -1.0"),
        (["train", "--val", "1"], "val must be a share from 0 to below 1"),
        (["train", "--data", "mnist"], "--download"),
        (["train", "--data", "cifar10"], "--download"),
        (["train", "--data", "fashion-mnist", "--root", "nowhere"], "nowhere"),
        (["train", "--data", "folder"], "root"),
        (["train", "--data", "folder", "--root", "nowhere"], "nowhere: no such folder"),
        (["train", "--root", "x"], "takes no root"),
        (["train", "--run", ""], "--run is empty"),
        (["train", "--data", "folder", "--root", ""], "--root is empty"),
        (["train", "--task="], "--task is empty"),
        (["predict", "", "--model", "resnet18"], "an argument is empty"),
        (["info", ""], "an argument is empty"),
        (["train", "--workers", "99999999"], "expected a whole number from 0 to 256"),
        (["train", "--find-lr", "nowhere/x.png"], "its folder does not exist"),
        (["train", "--image-size", "100000"], "image size 100000: pictures are scaled to at most 8192"),
        (["train", "--threads", "9999999"], "from 1 to 1024"),
        (["train", "--resume"], "nothing to resume"),
        (["train", "--resume", "nowhere"], "nothing to resume: there is no nowhere"),
        (["train", "--resume", "--overwrite"], "--resume goes on with a run and --overwrite replaces it"),
        (["train", "--resume", "a", "--run", "b"], "name different folders"),
        (["predict"], "IMAGE"),
        (["predict", "x.png"], "train one, or give --model"),
        (["predict", "x.png", "--model", "resnet19"], "did you mean 'resnet18'?"),
        (["predict", "x.png", "--model", "simple-cnn"], "no published weights"),
        (["predict", "x.png", "--weights", "w.pth"], "--weights needs the name of the network"),
        (["predict", "x.png", "--model", "resnet18", "--weights", "w.pth"], "there is no file w.pth"),
        (["info", "resnet19"], "did you mean 'resnet18'?"),
        (["info", "effnet"], "did you mean 'efficientnet_lite0'?"),
        (["predict", "x.png", "--model", "effnet"], "did you mean 'efficientnet_lite0'?"),
        (["train", "--model", "effnet"], "did you mean 'efficientnet_lite0'?"),
        (["train", "--model", "mobilenet"], "did you mean 'mobilenet_v2'?"),
        (["train", "--model", "resnte18"], "did you mean 'resnet18'?"),
        (["transfer", "x", "--model", "effnet"], "did you mean 'efficientnet_lite0'?"),
        (["transfer", "--resume", "x", "--overwrite"], "give one of them"),
        (["info", "."], "holds no run"),
        (["show", "."], "this folder holds no run (there is no best.safetensors)"),
        (["predict", "x.png", "--model", "."], "this folder holds no run (there is no best.safetensors)"),
        (["transfer"], "FOLDER"),
        (["transfer", "nowhere"], "nowhere: no such folder"),
        (["transfer", "x", "--model", "simple-cnn"], "no published weights"),
        (["transfer", "x", "--freeze", "al"], "did you mean all?"),
        (["transfer", "x", "--lr", "0.1"], "--freeze all leaves out"),
        (["transfer", "--resume", "nowhere"], "nothing to resume"),
    ],
)
def test_mistakes(arguments, words, capsys, tmp_path):
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("tinyvision")
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback():
    with pytest.raises(tinyvision.OptionError):
        main(["train", "--data", "digit", "--debug"])


def test_cuda_without_a_gpu(capsys):
    from tinyvision.device import cuda_problem

    if cuda_problem() is None:
        pytest.skip("there is a GPU")
    assert call("train", "--device", "cuda") == 2
    assert "cuda:0 cannot be used: " in capsys.readouterr().err


# -- train


def test_train_keeps_a_run_in_a_folder_of_its_own(capsys):
    assert call("train", "--epochs", "1") == 0
    captured = capsys.readouterr()
    assert "training simple-cnn (53,002 parameters) on 1,295 images of digits (143 more for validation)" in captured.err
    assert "epoch 1/1" in captured.err
    assert "test accuracy: " in captured.out
    assert "of 359 images that nothing was learned or chosen on" in captured.out
    assert call(*QUICK) == 0
    assert sorted(os.listdir("runs")) == ["digits-1", "digits-2"]
    assert Path("runs/digits-1/last.safetensors").read_bytes() == Path("runs/digits-2/last.safetensors").read_bytes()


def test_train_json(capsys):
    assert call("train", "--epochs", "2", "--json", "--run", "run") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["checkpoint"] == "run/best.safetensors"
    assert len(result["history"]) == 2
    assert 0 < result["test_accuracy"] < 1
    assert result["best_epoch"] in (1, 2)
    assert "epoch 2/2" in captured.err
    assert "\r" not in captured.err


def test_train_without_validation(capsys):
    assert call(*QUICK, "--val", "0", "--augment", "off", "--optimizer", "adam") == 0
    assert "best epoch" not in capsys.readouterr().out


def test_train_shapes_and_folders(capsys, tmp_path):
    for part, count in (("train", 6), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            for i in range(count):
                picture(tmp_path / "photos" / part / name / f"{i}.png", i, (20, 30))
    arguments = ["--data", "folder", "--root", "photos", "--image-size", "16", "--json"]
    assert call(*QUICK, *arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_images"] == 4
    network = train.load_network(result["run"])
    assert network.classes == ["cat", "dog"]
    assert network.preprocessing.size == (16, 16)


def test_broken_images_are_named_before_a_run_begins(trained, capsys, tmp_path):
    for part in ("train", "val", "test"):
        for name in ("cat", "dog"):
            for i in range(5):
                picture(tmp_path / "photos" / part / name / f"{i}.png", i, (20, 30))
    broken = ["test/dog/4.png", "train/cat/2.png", "train/cat/3.png", "val/dog/0.png"]
    for name in broken:
        path = tmp_path / "photos" / name
        path.write_bytes(path.read_bytes()[:200])
    shutil.copytree(trained, "old")
    before = sorted((path.name, path.read_bytes()) for path in Path("old").iterdir())
    for where in ([], ["--run", "mine"], ["--run", "old", "--overwrite"]):
        assert call(*QUICK, "--data", "folder", "--root", "photos", "--image-size", "16", *where) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("tinyvision: 4 of 30 images cannot be used; mend or remove them:\n")
        assert [line.split(": ")[0].strip() for line in captured.err.splitlines()[1:]] == [
            f"photos/{name}" for name in broken
        ]
    assert not Path("runs").exists()
    assert not Path("mine").exists()
    assert sorted((path.name, path.read_bytes()) for path in Path("old").iterdir()) == before


def test_train_refuses_to_overwrite(trained, capsys):
    before = (trained / "last.safetensors").read_bytes()
    assert call(*QUICK, "--run", str(trained)) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert (trained / "last.safetensors").read_bytes() == before


def test_resume_refuses_other_settings(trained, capsys):
    for arguments, words in [
        (["--lr", "0.3"], "lr was 0.1 and is now 0.3"),
        (["--data", "shapes"], "--data was digits and is now shapes"),
        (["--model", "resnet18"], "--model was simple-cnn and is now resnet18"),
        (["--augment", "off"], "--augment was on and is now off"),
        (["--val", "0.2"], "--val was 0.1 and is now 0.2"),
    ]:
        assert call("train", "--quiet", "--resume", str(trained), *arguments) == 2
        assert words in capsys.readouterr().err


def wait_for_steps(process, checkpoint, steps):
    """Wait until a run has made more than `steps` steps and is in the middle of an epoch."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        if checkpoint.exists():
            progress = train.load_checkpoint(checkpoint).progress
            if progress.total > steps and progress.step:
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail("the run does not get on")


KILLED = """
import os, signal, sys
from tinyvision.cli import main
from tinyvision.train import loop
step = loop._Training.step
def step_or_die(training, x, y):
    if training.progress.total == 29:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(training, x, y)
loop._Training.step = step_or_die
main(sys.argv[1:])
"""


def test_kill_9_and_resume(tmp_path):
    # All three are processes of their own with an empty cache: this one may have compiled loops, which round otherwise.
    def run(*arguments):
        process = tinyvision_process("train", "--quiet", *arguments, cwd=tmp_path)
        _, told = process.communicate()
        assert process.returncode == 0, told

    options = ["--epochs", "3", "--threads", "1"]
    killed = python_process("-c", KILLED, "train", "--quiet", *options, "--save-every", "0", cwd=tmp_path)
    _, told = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, told
    assert train.load_checkpoint("runs/digits-1/last.safetensors").progress.total == 29
    run("--resume")
    run(*options, "--run", "unbroken")
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        # a plain bool: nobody wants to read how half a megabyte differs
        same = (tmp_path / "runs" / "digits-1" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
        assert same, name


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals(tmp_path, number, code):
    process = tinyvision_process("train", "--epochs", "200", "--save-every", "0.1", "--run", "the run", cwd=tmp_path)
    wait_for_steps(process, tmp_path / "the run" / "last.safetensors", 0)
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode == code
    assert out == ""
    assert "and saved; go on with: tinyvision train --resume 'the run'" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert train.load_checkpoint(tmp_path / "the run" / "last.safetensors").progress.total > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stop_before_the_first_step_says_what_is_kept(trained, tmp_path, monkeypatch, capsys, number, rank):
    """By the signal's number alone, since processes that are started together get another one than was sent."""
    monkeypatch.setattr("tinyvision.distributed.init", lambda timeout: None)
    monkeypatch.setattr("tinyvision.distributed.rank", lambda: rank)
    run = shutil.copytree(trained, tmp_path / "old run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    monkeypatch.setattr("tinyvision.cli.train._open_parts", lambda *plan: os.kill(os.getpid(), number))
    for options, words in [
        (["--run", "new"], "nothing was kept"),
        (["--run", "old run", "--overwrite"], "the run that was in old run is still there"),
        (["--resume", "old run"], "go on with: tinyvision train --resume 'old run'"),
    ]:
        together = ["--distributed"] if rank else []
        assert main(["train", *options, *together]) == 128 + number
        told = f"stopped before the first step; {words}\n"
        assert capsys.readouterr().err == ("" if rank else told)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [["train"], ["transfer", "photos"], ["evaluate", "resnet18", "photos"]])
def test_a_stop_while_a_run_is_announced_leaves_no_folder(tmp_path, monkeypatch, capsys, words):
    found = SimpleNamespace(model=nn.Linear(1, 1), origin="it")
    monkeypatch.setattr("tinyvision.cli.evaluate.find_network", lambda *name, **options: found)
    monkeypatch.setattr("tinyvision.train.image_folders.folder_parts", lambda *names, **options: None)
    monkeypatch.setattr("tinyvision.kernels.cpu.compiled.compile_beside", lambda: False)
    announced = []

    def stop(text):
        announced.append(text)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"tinyvision.cli.{words[0]}.note", stop)
    assert main(words) == 130
    assert len(announced) == 1
    assert "runs/" in announced[0].replace(os.sep, "/")
    assert "stopped before the first" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_stop_after_training_says_how_to_see_the_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tinyvision.train.evaluate", lambda *data, **options: os.kill(os.getpid(), signal.SIGINT))
    assert main(["train", "--quiet", "--epochs", "1", "--run", "run"]) == 130
    told = capsys.readouterr().err
    assert told == "stopped after training; go on with: tinyvision train --resume run\n"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--quiet", "--resume", "run"]) == 0


def test_a_reader_that_goes_away(tmp_path):
    process = tinyvision_process("info", "resnet18", cwd=tmp_path)
    process.stdout.close()
    process.stdout = None
    assert "Traceback" not in process.communicate(timeout=600)[1]
    assert process.returncode in (0, 141)


# -- predict


def test_predict(trained, tmp_path, capsys):
    for i in range(3):
        picture(tmp_path / "in" / "deep" / f"{i}.png", i, (12, 9))
    assert call("predict", "in", "--model", str(trained)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"in/deep/{i}.png" for i in range(3)]
    assert call("predict", "in/deep/*.png", "--model", str(trained / "best.safetensors"), "--top", "3", "--json") == 0
    results = json.loads(capsys.readouterr().out)
    assert len(results) == 3
    probabilities = [one["probability"] for one in results[0]["predictions"]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)


def test_predict_agrees_with_the_network(trained, tmp_path, capsys):
    from tinyvision.data import Digits

    images = Digits(train=False).images[:20]
    from PIL import Image

    for i, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{i:02d}.png")
    assert call("predict", str(tmp_path), "--model", str(trained), "--json") == 0
    said = [one["predictions"][0] for one in json.loads(capsys.readouterr().out)]
    expected = train.load_network(trained).probabilities(list(images))
    assert [one["index"] for one in said] == expected.argmax(1).tolist()
    # Three equal channels are weighted to grey again, which may round by one of 255.
    np.testing.assert_allclose([one["probability"] for one in said], expected.max(1), atol=0.05)


def test_predict_with_the_newest_run(tmp_path, capsys):
    call(*QUICK)
    picture(tmp_path / "a.png")
    capsys.readouterr()
    assert call("predict", "a.png") == 0
    captured = capsys.readouterr()
    assert captured.err == "with runs/digits-1/best.safetensors\n"
    assert captured.out.startswith("a.png  ")


def test_one_broken_picture_among_many(trained, tmp_path, capsys):
    for i in range(40):
        picture(tmp_path / "in" / f"{i:02d}.png", i)
    (tmp_path / "in" / "17.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert call("predict", "in", "missing.jpg", "none*.png", "--model", str(trained), "--json") == 1
    captured = capsys.readouterr()
    results = json.loads(captured.out)
    assert [one["file"] for one in results if "error" in one] == ["in/17.png", "missing.jpg", "none*.png"]
    assert sum("predictions" in one for one in results) == 39
    assert "3 of 42 inputs could not be used" in captured.err
    assert call("predict", "in", "--model", str(trained)) == 1
    assert len(capsys.readouterr().out.splitlines()) == 39


def test_an_empty_folder(trained, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert call("predict", "empty", "--model", str(trained)) == 1
    assert "empty: no images in this folder" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_say_what_it_is(tmp_path, capsys):
    tinyvision.save({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    picture(tmp_path / "a.png")
    assert call("predict", "a.png", "--model", "x.safetensors") == 2
    assert "without the notes" in capsys.readouterr().err


# -- info, datasets, doctor


def test_info(trained, tmp_path, capsys):
    assert call("info", str(trained)) == 0
    text = capsys.readouterr().out
    for words in ("network:  simple-cnn", "classes:  10: 0, 1, 2", "progress: 1 of 1 epochs", "conv1.weight"):
        assert words in text
    assert call("info", str(trained / "best.safetensors"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["epochs"] == 1
    assert call("info", "simple-cnn", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parameters"] > 50_000
    assert call("info", "simple-cnn", "--image-size", "28") == 0
    assert "multiply-adds" in capsys.readouterr().out
    tinyvision.save({"some.weight": np.zeros((3, 4))}, tmp_path / "w.pth")
    assert call("info", "w.pth") == 0
    assert "some.weight  float64   (3, 4)" in capsys.readouterr().out
    (tmp_path / "broken.pth").write_bytes(b"\x80broken")
    assert call("info", "broken.pth") == 2


def test_datasets(capsys):
    assert call("datasets", "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["digits"]["installed"] is True
    assert found["mnist"]["installed"] is False
    assert found["mnist"]["problem"] is None
    assert "--download" in found["mnist"]["get"]
    assert call("datasets") == 0
    assert "looked in: " in capsys.readouterr().out


def test_doctor(capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert call("doctor") == 0
    text = capsys.readouterr().out
    for words in ("NumPy", "BLAS", "threads", "GFLOP/s", "OPENBLAS_CORETYPE=Haswell", "cache"):
        assert words in text
    assert call("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert any(finding["what"] == "GPU" or finding["what"].startswith("GPU ") for finding in report["findings"])


def test_doctor_names_what_is_missing(capsys, monkeypatch):
    import importlib.metadata

    real = importlib.metadata.version

    def version(name):
        if name == "pillow":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert call("doctor") == 1
    assert "-> pip install pillow" in capsys.readouterr().out


# -- starting quickly


def test_help_and_mistakes_load_little():
    script = (
        "import sys; from tinyvision.cli.parser import build_parser; build_parser(); "
        "print([m for m in ('rich', 'matplotlib', 'PIL', 'cupy', 'tinyvision.models') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), timeout=600
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["transfer"], ["info"], ["datasets"], ["doctor"]])
def test_help_fits_into_80_columns(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argument", ["datasets", "--help"])
def test_output_onto_a_full_disk(argument, unbuffered):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "tinyvision", argument],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "PYTHONUNBUFFERED": unbuffered},
        )
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "No space left" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="only POSIX deletes a folder that somebody is in")
@pytest.mark.parametrize("arguments", [["learn", "list"], ["train", "--epochs", "1"], ["info", "resnet18"]])
def test_a_current_folder_that_has_been_deleted(arguments, tmp_path):
    code = "import os, sys; os.rmdir(os.getcwd()); from tinyvision.cli import main; sys.exit(main(sys.argv[1:]))"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert result.returncode == (0 if arguments[0] == "info" else 2)
    assert "Traceback" not in result.stderr
    if arguments[0] == "learn":
        assert result.stderr == "tinyvision: the current folder has been deleted; cd to another one\n"


def test_names_that_begin_with_a_tilde_are_names(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (28, 28)).save("~$photo.png")
    assert main(["predict", "~$photo.png", "--model", str(trained)]) == 0
    assert main(["predict", "~nobody-of-this-name/x.png", "--model", str(trained)]) in (1, 2)
    assert "~nobody-of-this-name/x.png: no such file" in capsys.readouterr().err


def test_file_names_that_a_terminal_would_obey(trained, tmp_path):
    names = ["new\nline.png", "\x1b[31mred.png", os.fsdecode(b"\xff.png")]
    for name in names:
        with open(tmp_path / name, "wb") as file:
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "png")
    process = tinyvision_process("predict", "--model", str(trained), *[str(tmp_path / name) for name in names])
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == 3
    assert out.isascii()
    assert "\x1b" not in out


def test_a_pattern_with_a_colon_is_named_whole(trained, capsys):
    assert main(["predict", "c:no*", "--model", str(trained), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["file"] == "c:no*"
