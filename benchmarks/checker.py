"""How well the gradient checker does its work: `python -m benchmarks checker`.

Every mistake of the bank is put into an otherwise right pair of functions and checked: with the whole bank, with the
bank switched off, and with the mistake's own entry taken out (what happens to mistakes that nobody has foreseen).
Correct variants of every op are checked 1,000 times. The same mistakes then meet the policies of other checkers,
written here from their descriptions, on the small shapes that courses use.
"""

import argparse
import time
from collections import Counter

import numpy as np

from tinyvision import check
from tinyvision.check.ops import SPECS, spec

from . import checker_policies as policies
from . import checker_public as public
from . import checker_variants as variants
from . import checker_variants_smooth, checker_wild_courses, checker_wild_frameworks, checker_wild_lessons  # noqa: F401  (they add theirs to checker_variants and checker_wild)
from . import checker_wild as wild


def examine(mistake, bank=None, signatures=True):
    """The report on a pair with one mistake in it; that dy may not be changed is for who asks for everything."""
    forward, backward = mistake.functions()
    strict = mistake.shows == "dy_changed"
    return check.op(mistake.op, forward, backward, bank=bank, signatures=signatures, strict=strict)


def outcome(mistake, report):
    """ "missed", "exact" (its own id), "wrong" (the id of another mistake), "observed", "likely" or "unnamed"."""
    if report.passed:
        return "missed"
    ids = {f.mistake for f in report.findings if f.mistake}
    if mistake.id in ids or (mistake.shows and mistake.shows in ids):
        return "exact"
    if any("." in i for i in ids):
        return "wrong"
    if any(f.certainty == "likely" for f in report.findings):
        return "likely"
    return "observed" if ids else "unnamed"


def elsewhere(mistake, report):
    """True if a cause is named for an argument that the mistake is not in."""
    allowed = {mistake.argument, "forward", "backward"}
    return mistake.pair is None and any(f.argument not in allowed for f in report.findings)


def diagnosis_table(bank):
    """Rows of (mode, counts, seconds)."""
    modes = {
        "bank and signatures": lambda m: {},
        "signatures alone": lambda m: {"bank": []},
        "own entry taken out": lambda m: {"bank": [b for b in bank if b.id != m.id]},
    }
    for mode, options in modes.items():
        started, counts, misplaced = time.perf_counter(), Counter(), 0
        for mistake in bank:
            report = examine(mistake, **options(mistake))
            counts[outcome(mistake, report)] += 1
            misplaced += elsewhere(mistake, report)
        yield mode, counts, misplaced, time.perf_counter() - started


def false_alarms(runs, single=False):
    """(runs, alarms, seconds): correct variants, each with small random changes that keep it correct; or in float32."""
    started, alarms = time.perf_counter(), []
    pool = [v for v in variants.VARIANTS if not (single and v[1] == "sgd")]  # a rule that steps in place has no copy
    for run in range(runs):
        name, op, forward, backward, options = pool[run % len(pool)]
        if single:
            forward, backward = variants.in_float32(forward, backward)
        forward, backward = variants.disguised(forward, backward, seed=run)
        if not check.op(op, forward, backward, **options).passed:
            alarms.append(name)
    return runs, alarms, time.perf_counter() - started


def main(argv=None):
    """Print the tables; returns 0 if the aims are met."""
    parser = argparse.ArgumentParser(prog="benchmarks checker", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="runs of correct variants (default 1000)")
    parser.add_argument("--op", choices=sorted(SPECS), help="one op only")
    parser.add_argument("--no-policies", action="store_true", help="skip the comparison with other checkers")
    parser.add_argument("--public", action="store_true", help="the benchmark that other checkers can take part in")
    parser.add_argument("--with", dest="more", action="append", default=[], metavar="FILE.py",
                        help="with --public: a file that adds checkers of its own")  # fmt: skip
    parser.add_argument("--write", metavar="FILE", help="with --public: write the cases and the answers as JSON")
    options = parser.parse_args(argv)
    if not options.public and (options.more or options.write):
        parser.error("--with and --write go with --public")
    if options.public:
        public.table(options.op and spec(options.op).name, options.write, options.more)
        return 0
    bank = check.mistakes(options.op and spec(options.op).name)
    print(f"{len(bank)} mistakes in {len({m.op for m in bank})} ops\n")
    print(f"{'':24}{'caught':>8}{'exact':>8}{'likely':>8}{'seen':>8}{'unnamed':>9}{'wrongly':>9}{'ms each':>9}")
    fine = True
    for mode, c, misplaced, seconds in diagnosis_table(bank):
        caught = len(bank) - c["missed"]
        wrongly = c["wrong"] + misplaced
        fine &= not c["missed"] and not wrongly
        print(
            f"{mode:24}{caught:>8}{c['exact']:>8}{c['likely']:>8}{c['observed']:>8}{c['unnamed']:>9}{wrongly:>9}"
            f"{1000 * seconds / len(bank):>9.1f}"
        )
    print("exact: its own name; likely: a signature that holds on every probe; seen: an exception, a shape, a state\n")
    for single in (False, True):
        runs, alarms, seconds = false_alarms(options.runs, single)
        fine &= not alarms
        kind = f"{len(variants.VARIANTS)} correct variants{' in float32' * single}"
        print(f"false alarms: {len(alarms)} in {runs} runs of {kind} ({seconds:.0f} s)")
        for name, count in Counter(alarms).items():
            print(f"    {name}: {count}")
    fine &= wild.table()
    if not options.no_policies:
        print()
        policies.compare(bank, np.random.default_rng(0))
    return 0 if fine else 1
