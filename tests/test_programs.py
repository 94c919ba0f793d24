"""Views, writes in place, arithmetic and backward in random order: as PyTorch has it, or refused by name."""

import warnings

import numpy as np
import pytest
from programs import compare

import tinyvision as tv
from tinyvision.errors import GraphError


def test_random_programs_are_never_silently_different():
    outcomes = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed in range(500):
            outcome, words = compare(seed)
            assert outcome != "different", words
            outcomes.append(outcome)
    # What PyTorch refuses and this engine does not ("lenient") is no program that anybody runs.
    asked = [outcome for outcome in outcomes if outcome != "lenient"]
    assert outcomes.count("equal") >= 0.85 * len(asked)


def test_what_was_cut_out_of_a_fresh_result_is_no_view():
    """As in PyTorch: views of it, taken before it was asked for a gradient, are asked with it."""
    x = tv.arange(12.0).reshape(3, 4)
    for y in (x.max(1).values, x.median(1).values, x.kthvalue(2, 1).values, x @ tv.ones(4), tv.ones(3) @ x[:, :3]):
        part = y[1:]
        y.requires_grad_()
        assert part.requires_grad


def test_a_view_whose_memory_changed_before_the_gradient_was_switched_off_is_not_guessed_about():
    """PyTorch's depends on the tensor for good if anybody has looked at it in between, and not at all otherwise."""
    for changes in (False, True):
        x = tv.zeros(3)
        view = x.view(-1)
        if changes:
            x.abs_()
        x.requires_grad_()
        x.requires_grad_(False)
        assert view.requires_grad == changes
        if changes:
            with pytest.raises(GraphError, match="is not known whether the view still depends on it"):
                view.sum().backward()
