"""`python -m benchmarks`: the command line."""

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import traceback
from pathlib import Path

OK, WRONG, FAILED = 0, 1, 2

# name -> (module with run(suite), what it measures)
MEASURES = {
    "cnn": ("cnn", "SimpleCNN's training step and single convolutions, next to PyTorch, JAX, DeZero, MyGrad"),
    "conv": ("conv", "every distinct convolution of ResNet-18: forward, image gradient, weight gradient"),
    "resnet18": (
        "resnet18",
        "ResNet-18: inference at batch 1, 8, 32, as loaded and folded; training step at batch 8",
    ),
    "networks": ("more_networks", "EfficientNet-Lite0: inference, training step; a U-Net's training step"),
    "memory": ("memory", "peak memory of a ResNet-18 training step, each contestant in its own process"),
    "import": ("imports", "import times, each in a new process"),
    "scaling": ("scaling", "over batch sizes 1 to 64, image sizes, and threads"),
    "profile": ("breakdown", "where tinyvision's time goes: products, columns, elementwise passes, Python"),
}
DEFAULT = ("cnn", "conv", "resnet18", "networks", "memory", "import")
SHORT = ("cnn", "conv", "resnet18", "networks", "memory")
SHORT_LIBRARIES = "tinyvision,PyTorch,ONNX Runtime"

# name -> (module with main(argv), what it measures); each has a --help of its own
OTHERS = {
    "checker": ("checker", "how many mistakes the gradient checker finds, and names"),
    "transfer": ("transfer", "fine-tuning a pretrained network"),
    "interop": (
        "interop",
        "one network in tinyvision, PyTorch, ONNX Runtime, Keras and TensorFlow Lite: agreement and time",
    ),
    "distributed": ("distributed", "processes against threads in one job, and clusters on paper"),
    "tasks": ("tasks", "what the recipes of all tasks reach, in what time, and a step of each beside PyTorch's"),
    "gpu": ("gpu", "everything on an NVIDIA GPU (the same as --device cuda)"),
    "gpu-goals": ("gpu_goals", "whether an NVIDIA GPU meets its goals, in eight minutes"),
}
EPILOG = """\
Without a command: cnn, conv, resnet18, networks, memory and import (about eight
minutes on two cores), and the table of goals. Results are compared with PyTorch's before
anything is timed; contestants take turns; times are medians.

  python -m benchmarks --quick       a first look, good for development only
  taskset -c 0,1 python -m benchmarks short --json benchmarks/results/cpu-NAME.json
                                     the goals alone, on two cores, in three minutes
  python -m benchmarks all --json benchmarks/results/cpu-NAME.json
  python -m benchmarks report        RESULTS.md from all records in results/
"""


def build_parser():
    """The parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast tinyvision is on this machine, next to other libraries.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    for name, (_, text) in MEASURES.items():
        _add_options(commands.add_parser(name, help=text, description=text), default=argparse.SUPPRESS)
    text = "all of the above, in about ten minutes"
    _add_options(commands.add_parser("all", help=text, description=text), default=argparse.SUPPRESS)
    text = "the goals' own cases next to PyTorch and ONNX Runtime, with a third of the turns, in about three minutes"
    _add_options(commands.add_parser("short", help=text, description=text), default=argparse.SUPPRESS)
    for name, (_, text) in OTHERS.items():
        commands.add_parser(name, help=text, add_help=False)
    report = commands.add_parser("report", help="render the records in benchmarks/results/ into benchmarks/RESULTS.md")
    report.add_argument(
        "--results", type=Path, metavar="FOLDER", help="where the *.json records are (default benchmarks/results)"
    )
    report.add_argument(
        "--output", type=Path, metavar="FILE", help="the page to write (default: RESULTS.md beside that folder)"
    )
    return parser


def _add_options(parser, default=None):
    """Options before or after the command; there, unset ones must not hide those given before it."""
    parser.add_argument(
        "--quick", action="store_true", default=default or False, help="few turns: for development, not for records"
    )
    parser.add_argument(
        "--repeats", type=_positive, metavar="N", default=default, help="turns for every contestant in every case"
    )
    parser.add_argument(
        "--threads", type=_positive, metavar="N", default=default, help="threads for everybody (default: all cores)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", default=default, help="also write the record to FILE")
    parser.add_argument(
        "--only", metavar="NAMES", default=default, help="libraries that take part, such as tinyvision,PyTorch"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default=default or "cpu", help="cuda: the GPU's benchmarks (default cpu)"
    )


def _positive(text):
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number


def main(argv=None):
    """Run one command; returns its exit code: 0, or 1 if a result was wrong, 2 for bad usage, 130 after Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    from tinyvision.errors import TinyVisionError

    try:
        other = _other(argv)
        if other:
            return other()
        options = build_parser().parse_args(argv)
        return _report(options) if options.command == "report" else _measure(options, argv)
    except TinyVisionError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was recorded", 128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _fail(text, code):
    end = "\r\033[K" if sys.stderr.isatty() else ""
    print(f"{end}benchmarks: {text}", file=sys.stderr)
    return code


def _other(argv):
    """The main of a benchmark that reads its own arguments, bound to them, or None."""
    name, rest = (argv[0], argv[1:]) if argv and argv[0] in OTHERS else (None, argv)
    for i, word in enumerate(argv):
        given = (
            argv[i + 1 : i + 2]
            if word == "--device"
            else [word.partition("=")[2]]
            if word.startswith("--device=")
            else []
        )
        if given == ["cuda"] and name is None:
            name, rest = "gpu", argv[:i] + argv[i + (2 if word == "--device" else 1) :]
            break
    if name is None:
        return None
    if importlib.util.find_spec(f"benchmarks.{OTHERS[name][0]}") is None:
        from tinyvision.errors import OptionError

        raise OptionError(f"{name}: this checkout has no benchmarks/{OTHERS[name][0]}.py")
    main_of_it = importlib.import_module(f"benchmarks.{OTHERS[name][0]}").main
    return lambda: main_of_it(rest) or OK


def _report(options):
    from . import report

    page, records = report.write(options.results, options.output)
    print(f"{page} from {records} record{'s' if records != 1 else ''}")
    return OK


def _measure(options, argv):
    from rich.console import Console

    from . import machine, record, suite, tables

    if options.json:
        record.check_writable(options.json)
    progress = suite.progress_line if sys.stderr.isatty() else None
    short = options.command == "short"
    run = suite.begin(
        options.threads,
        _only(options.only or (SHORT_LIBRARIES if short else None)),
        quick=options.quick,
        short=short,
        repeats=options.repeats,
        arguments=tuple(argv),
        progress=progress,
    )
    for name, why in run.missing.items():
        print(f"benchmarks: {name} does not take part: {why}", file=sys.stderr)
    if machine.busy(run.load, os.cpu_count() or 1):
        print(f"benchmarks: the machine is busy (load average {run.load}); do not trust these figures", file=sys.stderr)
    console = Console()
    names = {None: DEFAULT, "all": tuple(MEASURES), "short": SHORT}.get(options.command, (options.command,))
    failed = []
    for name in names:
        try:
            importlib.import_module(f"benchmarks.{MEASURES[name][0]}").run(run)
        except Exception:  # ten minutes of other parts are not lost for it
            traceback.print_exc()
            failed.append(name)
        run.say("")
        for table in tables.tables_of(run.record(), name):
            tables.show(table, console)
    made = run.record()
    for table in tables.summary_tables(made):
        tables.show(table, console)
    print(tables.machine_text(made), flush=True)
    if options.json:
        record.write(options.json, made)
        print(f"record: {options.json}")
    if failed:
        return _fail(f"{', '.join(failed)} ended in an error; the other parts are measured", WRONG)
    wrong = [
        f"{c['case']}: {n}"
        for c in made["cases"]
        for n, e in c["entries"].items()
        if e["family"].startswith("tinyvision") and e["status"] != "timed"
    ]
    return (
        _fail(f"tinyvision itself was not timed in {len(wrong)} cases: {'; '.join(wrong[:3])}", WRONG) if wrong else OK
    )


def _only(text):
    if text is None:
        return None
    from tinyvision.errors import OptionError

    from . import contestants

    known = {importlib.import_module(f"{contestants.__name__}.{m}").NAME.lower(): m for m in contestants.MODULES}
    wanted = [word.strip().lower() for word in text.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted:
        raise OptionError(f"--only: expected some of {', '.join(sorted(known))}, got {text!r}")
    return [importlib.import_module(f"{contestants.__name__}.{known[word]}").NAME for word in wanted]
