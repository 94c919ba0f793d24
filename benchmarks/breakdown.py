"""Where the time goes: a sampling profile that tells products, columns and transforms, elementwise passes, compiled
loops, and Python apart.

A second thread looks every half millisecond at the line that the first one is on. NumPy gives up the interpreter lock
inside its loops and products, so the samples fall there too, which a profiler of Python calls would not see. On one
thread, so that no share hides behind another.
"""

import linecache
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from . import contestants, networks
from .cnn import BATCH, RATE
from .contestants import ours
from .resnet18 import DECAY, MOMENTUM, TRAINING_BATCH
from .resnet18 import RATE as RESNET_RATE

INTERVAL = 0.0005
PRODUCT = re.compile(r"matmul|einsum|[\w)\]] @ [\w(]|\.dot\(")
LOOP = re.compile(r"self\.run\(|\.shared\(")  # where machine code is entered, in compiled.py and crew.py

# Functions (and files) that only rearrange an image for a product, or bring it back.
COLUMN_FILES = {"im2col.py", "winograd.py", "sliding.py"}
COLUMN_FUNCTIONS = {"_columns", "plane_columns", "image_gradient"}
ARRANGING = {"checks.py", "launch.py", "ways.py", "__init__.py"}  # they decide what is to be done, and do none of it
KINDS = ("product", "columns and transforms", "elementwise", "compiled loops", "Python")
PACKAGE = Path(__file__).resolve().parents[1] / "tinyvision"
LOOPS = PACKAGE / "kernels" / "cpu"
# Where work is cut up and handed on: the op that wanted it is above.
SHARED_OUT = {str(PACKAGE / "blocks.py"), str(PACKAGE / "threads.py")}
SHARED_OUT |= {str(LOOPS / name) for name in ("compiled.py", "crew.py", "lines.py")}


def kind(path, function, line):
    """The kind of work on a line of source: products and compiled loops name themselves; the rest is known by where it
    stands. What the loops' files do before and after them is Python's share.

    Sums over columns are products with ones, but a walk through memory like the elementwise work."""
    inside = path.startswith(str(PACKAGE))
    if inside and Path(path).parent == LOOPS and LOOP.search(linecache.getline(path, line)):
        return "compiled loops"
    if inside and Path(path).name != "channels.py" and PRODUCT.search(linecache.getline(path, line)):
        return "product"
    relative = Path(path).relative_to(PACKAGE) if inside else Path()
    if inside and Path(path).parent == LOOPS:
        return "Python"
    if inside and (relative.name in COLUMN_FILES or function in COLUMN_FUNCTIONS):
        return "columns and transforms"
    return (
        "elementwise"
        if inside and relative.parts[0] in ("ops", "optim", "kernels") and relative.name not in ARRANGING
        else "Python"
    )


def place(frame):
    """(kind, "file: function") for the innermost line of ours; NumPy's Python wrappers count for their caller."""
    at = frame
    while at is not None and not at.f_code.co_filename.startswith(str(PACKAGE)):
        at = at.f_back
    if at is None:
        return None
    line = at.f_lineno or at.f_code.co_firstlineno  # it has none between two lines of source
    found = kind(at.f_code.co_filename, at.f_code.co_name, line)
    while found in ("product", "compiled loops") and at.f_back is not None and at.f_code.co_filename in SHARED_OUT:
        at = at.f_back  # the op that wanted it
    return found, f"{Path(at.f_code.co_filename).relative_to(PACKAGE).as_posix()}: {at.f_code.co_name}"


def sample(work, seconds):
    """(Counter of (kind, place), calls, seconds): what this thread did while `work` ran again and again."""
    counts, done, target, failed = Counter(), threading.Event(), threading.get_ident(), []

    def watch():
        try:
            while not done.wait(INTERVAL):
                found = place(sys._current_frames()[target])
                if found:
                    counts[found] += 1
        except Exception as error:  # else the shares of what it saw until then would be taken for those of the whole
            failed.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(INTERVAL / 5)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, calls = time.perf_counter(), 0
    try:
        while time.perf_counter() - start < seconds or calls < 2:
            work()
            calls += 1
    finally:
        elapsed = time.perf_counter() - start
        done.set()
        watcher.join()
        sys.setswitchinterval(before)
    if failed:
        raise failed[0]
    return counts, calls, elapsed


def shares(counts, busiest=8):
    """({kind: share}, {place: share} of the busiest places)"""
    total = max(sum(counts.values()), 1)
    kinds, places = Counter(), Counter()
    for (name, where), count in counts.items():
        kinds[name] += count
        places[f"{where} ({name})"] += count
    return {k: kinds[k] / total for k in KINDS}, {p: c / total for p, c in places.most_common(busiest)}


def works():
    """(name, entry) of the steps that the goals are about, by the goals' names, in each of our ways."""
    state = networks.resnet18()
    for batch in (BATCH, 8, 1):
        x, labels = networks.images(batch, 24)
        for entry in ours.cnn_step(networks.simple_cnn(), x, labels, RATE):
            yield f"SimpleCNN training step, batch {batch}", entry
    x, labels = networks.images(TRAINING_BATCH, 224)
    for entry in ours.resnet_step(state, x, labels, RESNET_RATE, MOMENTUM, DECAY):
        yield f"ResNet-18 training step, batch {TRAINING_BATCH}", entry
    for batch in (8, 1):
        x, _ = networks.images(batch, 224)
        for entry in ours.resnet_inference(state, x):
            how = "folded" if entry.name.endswith("folded") else "as loaded"
            yield f"ResNet-18 inference, batch {batch}, {how}", entry


def run(suite):
    """Profile each work on one thread."""
    parts = suite.extras.setdefault("breakdown", [])
    contestants.set_threads(suite.modules, 1)
    try:
        for name, entry in works():
            way = "with fast" if entry.name.startswith(ours.FAST) else "NumPy alone"
            suite.say(f"profile: {name}, {way}")
            entry.run()
            counts, calls, elapsed = sample(entry.run, 0.5 if suite.quick else 2.0)
            kinds, places = shares(counts)
            parts.append(
                {
                    "work": name,
                    "way": way,
                    "threads": 1,
                    "seconds": elapsed / calls,
                    "samples": sum(counts.values()),
                    "kinds": kinds,
                    "places": places,
                }
            )
    finally:
        contestants.set_threads(suite.modules, suite.threads)
