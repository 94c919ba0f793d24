"""How many positions does a window have along one axis?

An axis of `size` pixels gets `padding` zeros on *both* sides. A window of `kernel_size` pixels starts at the left end
and moves by `stride`, as long as it lies inside. What is left over at the right end is not used.
All arguments and the result are whole numbers.
"""


def out_size(size, kernel_size, stride, padding):
    """The number of positions, for example out_size(7, kernel_size=3, stride=2, padding=0) = 3."""
    # solution:
    return (size + 2 * padding - kernel_size) // stride + 1
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "the size of an output"
LEVEL, MINUTES, PAGE = 1, 5, "3"
NEEDS = ("out_size",)
MISSING = "the number of positions of the window"
HINTS = (
    "How many pixels are there once the padding is on both sides? How far can the window's first pixel move?",
    "The first pixel of the window can be at 0, stride, 2·stride, ... up to (padded size - kernel_size). Count them.",
    "(size + 2·padding - kernel_size) // stride gives the number of steps; the position before the first step "
    "counts too.",
)
PREDICT = "A 224-pixel image, kernel 7, stride 2, padding 3 (the first layer of ResNet): how large is the output?"
ANSWER = "112: (224 + 6 - 7) // 2 + 1. The division leaves a remainder of 1: one column of padding is never looked at."


def check(your):
    right = lambda s, k, t, p: (s + 2 * p - k) // t + 1  # noqa: E731
    cases = [(7, 3, 2, 0), (8, 3, 2, 0), (5, 5, 1, 0), (224, 7, 2, 3), (6, 2, 3, 0), (4, 3, 1, 1), (9, 4, 3, 2)]
    known = [
        (
            lambda s, k, t, p: (s + 2 * p - k) // t,
            "You counted the steps; the position before the first one counts too.",
        ),
        (lambda s, k, t, p: (s + p - k) // t + 1, "You added the padding once; it is on both sides."),
        (lambda s, k, t, p: -(-(s + 2 * p - k) // t) + 1, "You rounded up; a window that sticks out does not count."),
        (
            lambda s, k, t, p: (s + 2 * p - k) / t + 1,
            "You divided with /: there are no fractions of a position. Use //.",
        ),
        (lambda s, k, t, p: (s + 2 * p - k + 1) // t, "The + 1 belongs outside of the division."),
        (lambda s, k, t, p: (s - k) // t + 1, "The padding is not in your formula."),
        (lambda s, k, t, p: s + 2 * p - k + 1, "The stride is not in your formula."),
    ]
    return lab.beside(your.out_size, right, cases, "out_size", known)
