"""ArcFace, for networks that recognise what they never saw: the right class must win by an angle. Both directions.

    y[n, k] = scale · cos θ[n, k],   but at the label k = labels[n]:   y[n, k] = scale · cos(θ[n, k] + margin)
cosines (N, K) = cos θ of picture and class; here all θ + margin are below π  ->  y (N, K), which cross-entropy takes;
dy (N, K), cache = (cosines, labels, margin, scale)  ->  dcosines (N, K)
"""

import numpy as np


def arcface_forward(cosines, labels, margin, scale):
    """Only one number in each row is another one than scale · cosine."""
    rows = np.arange(len(labels))
    y = scale * cosines
    # solution:
    angle = np.arccos(cosines[rows, labels])
    y[rows, labels] = scale * np.cos(angle + margin)
    # skeleton:
    # y[rows, labels] = ...
    # end
    return y


def arcface_backward(dy, cache):
    """d cos(θ + m) / d cos θ, with θ = arccos of the cosine: both cosines have a slope."""
    cosines, labels, margin, scale = cache
    rows = np.arange(len(labels))
    dcosines = scale * dy
    # solution:
    angle = np.arccos(cosines[rows, labels])
    dcosines[rows, labels] *= np.sin(angle + margin) / np.sin(angle)
    # skeleton:
    # dcosines[rows, labels] *= ...
    # end
    return dcosines


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "ArcFace: win by an angle"
LEVEL, MINUTES, PAGE = 3, 15, "30"
NEEDS = ("arcface_forward", "arcface_backward")
MISSING = "the score at the label, and its slope"
HINTS = (
    "The cosine is given, the margin is added to the angle. How does one get from one to the other, and back?",
    "arccos, + margin, cos. Backwards: d cos(θ + m)/dθ = -sin(θ + m), and dθ/d cos θ = -1/sin θ.",
    "scale * np.cos(np.arccos(c) + margin); *= np.sin(angle + margin) / np.sin(angle)",
)
PREDICT = "A picture is at 30° from its class and at 40° from another. Margin 20°. Is it punished?"
ANSWER = "Yes: it is taken to be at 50°, and so loses against 40°. It must come to 20° to have peace."


def right(cosines, labels, margin, scale):
    rows, y = np.arange(len(labels)), scale * cosines
    y[rows, labels] = scale * np.cos(np.arccos(cosines[rows, labels]) + margin)
    return y


def check(your):
    rng = np.random.default_rng(63)
    labels = np.array([2, 0, 1, 2])
    cases = [(rng.uniform(-0.6, 0.9, (4, 3)), labels, 0.3, 8.0), (rng.uniform(-0.6, 0.9, (4, 3)), labels, 0.5, 2.0)]

    def at_label(value):
        def wrong(cosines, labels, margin, scale):
            rows, y = np.arange(len(labels)), scale * cosines
            y[rows, labels] = value(cosines[rows, labels], margin, scale)
            return y

        return wrong

    known = [
        (at_label(lambda c, m, s: s * c), "There is no margin yet."),
        (at_label(lambda c, m, s: s * (c - m)), "The margin is taken from the cosine; add it to the angle."),
        (at_label(lambda c, m, s: np.cos(np.arccos(c) + m)), "The scale is missing at the label."),
        (at_label(lambda c, m, s: s * np.cos(np.arccos(c) - m)), "The margin makes it easier: add it to the angle."),
        (at_label(lambda c, m, s: s * np.cos(c + m)), "The margin is added to the cosine: arccos first."),
        (lambda c, labels, m, s: s * np.cos(np.arccos(c) + m), "All classes have the margin; the label alone has it."),
    ]
    cosines, labels, margin, scale = cases[0]
    rows = np.arange(len(labels))

    def slope(factor):
        def wrong(dy, cosines):
            angle = np.arccos(cosines[rows, labels])
            d = scale * dy
            d[rows, labels] *= factor(angle)
            return d

        return wrong

    gradients = [
        ("dcosines", slope(lambda a: 1.0), "At the label, the slope is another one: the angle is in between."),
        ("dcosines", slope(lambda a: np.sin(a + margin)), "dθ/d cos θ = -1/sin θ is missing."),
        ("dcosines", slope(lambda a: -np.sin(a + margin) / np.sin(a)), "Two minus signs make a plus."),
        ("dcosines", slope(lambda a: np.sin(a) / np.sin(a + margin)), "The quotient is upside down."),
        ("dcosines", slope(lambda a: np.cos(a + margin)), "That is the value; its slope has sines."),
    ]
    backward = lab.adapted(
        your.arcface_backward, lambda dy, cache: (your.arcface_backward(dy, cache),), ("dy", "cache")
    )
    return lab.together(
        lambda: lab.beside(your.arcface_forward, right, cases, "y", known),
        lambda: lab.pair(
            lambda cosines: (right(cosines, labels, margin, scale), (cosines, labels, margin, scale)),
            backward,
            (cosines,),
            gradients,
        ),
    )
