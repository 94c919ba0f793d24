"""Writes that read memory which they write to: PyTorch's numbers, or refused where its order would decide them."""

import numpy as np
import pytest
import torch

import tinyvision
from tinyvision.errors import OptionError


def boxes(x):
    x[:, 2:] += x[:, :2]


def onwards(x):
    x[:, :-1] = x[:, 1:]


def onwards_and_added(x):
    x[:, :-1] += x[:, 1:]


def of_one_number(x):
    x[x > 4] = x[1, 1]
    x[1:] = x[0, 2]
    x.fill_(x[3, 3])


def by_places_elsewhere(x):
    x[[0, 2], :2] = x[[1, 3], 2:]
    x[[0, 2], :2] = x[:2, 2:]


def itself(x):
    x.mul_(x)
    x.view(-1).add_(x.detach().flatten())
    x[1:] -= x.data[1:]
    x[[1, 0], :2] = x[:2, :2][[1, 0]]


def lines_apart(x):
    y = x.view(2, 2, 4)
    y[:, 0] += y[:, 1]
    y[..., ::2] *= y[..., 1::2]


@pytest.mark.parametrize(
    "write", [boxes, onwards, onwards_and_added, of_one_number, by_places_elsewhere, itself, lines_apart]
)
def test_what_no_order_changes_is_written_as_pytorch_writes_it(write):
    ours, theirs = tinyvision.arange(16.0).view(4, 4), torch.arange(16.0).view(4, 4)
    write(ours)
    write(theirs)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


REFUSED = {
    "copy backwards": lambda x: x[:, 1:].copy_(x[:, :-1]),
    "add backwards": lambda x: x[:, 1:].add_(x[:, :-1]),
    "a column to all": lambda x: x.sub_(x[:, :1]),
    "a number to a column": lambda x: x[:, 0].mul_(x[1, 0]),
    "transposed": lambda x: x.copy_(x.T),
    "a row to all columns": lambda x: x.T.copy_(x[2]),
    "through data": lambda x: x.data[:, 1:3].copy_(x.detach().T[:, 1:3]),
    "places": lambda x: x.__setitem__(([1, 0], slice(0, 2)), x[:2, :2]),
    "a mask": lambda x: x.__setitem__(x[:, 0] > 2, x[:3]),
    "another of the others": lambda x: x.addcmul_(x, x.T),
    "an option": lambda x: x.clamp_(min=x.T),
    "a product": lambda x: x.addmm_(x, x.clone()),
    "index_add_": lambda x: x.index_add_(0, tinyvision.tensor([0, 1]), x[:2]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_order_decides_is_refused_and_leaves_all_as_it_was(name):
    x = tinyvision.arange(16.0).view(4, 4)
    with pytest.raises(OptionError, match=r"written over in the same call.*\.clone\(\)"):
        REFUSED[name](x)
    np.testing.assert_array_equal(x.numpy(), np.arange(16.0).reshape(4, 4))


def test_of_a_clone_it_is_written():
    for t in (tinyvision, torch):
        x = t.arange(16.0).view(4, 4)
        x[:, 1:] += x[:, :-1].clone()
        x[[1, 0]] = x[:2].clone()
        x[1:] = x[:-1].clone()
        assert x.tolist() == [[4, 9, 11, 13], [4, 9, 11, 13], [0, 1, 3, 5], [8, 17, 19, 21]]
