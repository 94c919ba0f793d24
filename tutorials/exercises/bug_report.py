"""Read this bug report, find its cause, and mend the loader. The fault is one that many public training scripts had.

    Title: more workers, worse model
    With workers=0 validation reaches 91 %. With workers=4 it stays at 86 %, everything else alike, and I see the
    same crops again and again: picture 0 of worker 1 is shifted exactly as picture 0 of worker 2, and in the second
    epoch all shifts are those of the first. Seeding NumPy at the start of the script changes which shifts there are,
    not that they repeat. No error, no warning.

Here a worker is what a process is after a fork: it begins with a copy of the generator's state.
Set CAUSE to one letter, and mend epoch_shifts():
    "a"  the generator is seeded too rarely: a new seed is needed for every picture
    "b"  the shifts are drawn from too small a range
    "c"  every worker, in every epoch, begins with the same state and so draws the same numbers
    "d"  the pictures are shuffled before they are divided among the workers
"""

import numpy as np

# solution:
CAUSE = "c"
# skeleton:
# CAUSE = ...
# end


def epoch_shifts(seed, epoch, workers, pictures):
    """The random shift, -4 to 4, of every picture in one epoch: worker k takes pictures k, k + workers, ...

    The same seed must give the same shifts again; whole numbers, (pictures,)."""
    shifts = np.zeros(pictures, dtype=int)
    for k in range(workers):
        # solution:
        rng = np.random.default_rng([seed, epoch, k])
        # skeleton:
        # rng = np.random.default_rng(seed)  # the parent's state, of which a fork is a copy
        # end
        mine = np.arange(k, pictures, workers)
        shifts[mine] = rng.integers(-4, 5, len(mine))
    return shifts


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "more workers, worse model"
LEVEL, MINUTES, PAGE = 2, 15, "20"
NEEDS = ("CAUSE", "epoch_shifts")
MISSING = "the letter of the cause"
HINTS = (
    "Which two observations of the report say that numbers repeat, and between what?",
    "Between workers, and between epochs. A generator's numbers are decided by its seed: what must the seed depend on?",
    "rng = np.random.default_rng([seed, epoch, k])",
)
PREDICT = "Is an unseeded generator in each worker, np.random.default_rng(), a remedy?"
ANSWER = "Nothing repeats any more, and nothing can be repeated either: the next run is another one."


def check(your):
    letters = {
        "a": "How often one seeds is not the point: two generators with one seed draw the same.",
        "b": "Nine shifts are few, but equal pictures at equal places for all workers are no accident.",
        "d": "Shuffling changes who gets which picture; the report says that the *shifts* repeat.",
    }
    lab.expect(
        your.CAUSE in ("a", "b", "c", "d"), f"CAUSE is {your.CAUSE!r}; it must be a letter, 'a' to 'd'.", "CAUSE"
    )
    lab.expect(your.CAUSE == "c", letters.get(your.CAUSE, ""), "CAUSE", mistake="known")
    make = your.epoch_shifts
    one = [np.asarray(lab.call(make, 3, epoch, 4, 400)) for epoch in range(2)]
    lab.expect(one[0].shape == (400,), f"There are {one[0].shape} shifts; one for each picture.", "shifts", make)
    lab.expect(
        np.array_equal(one[0], lab.call(make, 3, 0, 4, 400)),
        "The same seed gives other shifts the next time: a run could not be repeated.",
        "shifts",
        make,
    )
    parts = [one[0][k::4] for k in range(4)]
    lab.expect(
        not any(np.array_equal(parts[0], p) for p in parts[1:]),
        "All workers still draw the same shifts: each needs a generator of its own.",
        "shifts",
        make,
    )
    lab.expect(
        not np.array_equal(one[0], one[1]),
        "The second epoch has the shifts of the first: the epoch must be part of the seed.",
        "shifts",
        make,
    )
    # seed + epoch + k: worker 1 of epoch 0 is worker 0 of epoch 1
    later = [one[1][k::4] for k in range(4)]
    lab.expect(
        not any(np.array_equal(a, b) for a in parts for b in later),
        "A worker of the second epoch draws what another drew in the first: seed + epoch + k meets itself. Give the "
        "three numbers as a list.",
        "shifts",
        make,
    )
    lab.expect(
        not np.array_equal(one[0], lab.call(make, 4, 0, 4, 400)), "The seed changes nothing any more.", "shifts", make
    )
    lab.expect(
        set(np.unique(one[0])) == set(range(-4, 5)),
        "The shifts are no longer -4 to 4, all nine of them.",
        "shifts",
        make,
    )
    return lab.done("CAUSE", "shifts")
