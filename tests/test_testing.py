"""torch.testing.assert_close agrees with PyTorch's on what is close, and tells where and by how much it is not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyvision as tv
from tinyvision import DtypeError, OptionError
from tinyvision.nn import Parameter
from tinyvision.testing import assert_close

CASES = {  # two things, and options
    "equal": ([1.0, 2.0], [1.0, 2.0], {}),
    "within": ([1.0, 2.0], [1.0, 2.0 + 8e-6], {}),
    "beyond": ([1.0, 2.0], [1.0, 2.1], {}),
    "whole numbers": (np.array([1, 2]), np.array([1, 3]), {}),
    "bytes": (np.uint8([1, 255]), np.uint8([1, 0]), {"rtol": 0, "atol": 2}),
    "bools": (np.array([True, False]), np.array([True, True]), {}),
    "shapes": ([1.0, 2.0], [1.0], {}),
    "dtypes": (np.float32([1]), np.float64([1]), {}),
    "dtypes unchecked": (np.float32([1 + 9e-6]), np.float64([1]), {"check_dtype": False}),
    "dtypes unchecked, beyond": (np.float32([1 + 2e-5]), np.float64([1]), {"check_dtype": False}),
    "half": (np.float16([1, 2]), np.float16([1.001, 2]), {}),
    "nan": ([np.nan, 1.0], [np.nan, 1.0], {}),
    "equal nan": ([np.nan, 1.0], [np.nan, 1.0], {"equal_nan": True}),
    "infinite": ([np.inf, 1.0], [np.inf, 1.0], {}),
    "signs": ([np.inf, 1.0], [-np.inf, 1.0], {"rtol": 1.0, "atol": 1.0}),
    "own": ([1.0, 2.0], [1.0, 2.1], {"rtol": 0.1, "atol": 0.0}),
    "exact": ([1.0, 2.0], [1.0, 2.0 + 5e-7], {"rtol": 0, "atol": 0}),
    "empty": (np.zeros((0, 3)), np.zeros((0, 3)), {}),
}
PLAIN = [
    *[(3, 3, {}), (3, 4, {}), (3.0, 3.0 + 1e-8, {}), (3.0, 3.1, {}), (3, 3.0, {}), (3, 3.0, {"check_dtype": False})],
    *[(True, True, {}), (True, False, {}), (None, None, {}), (None, 1, {}), (np.float64(1), 1.0, {})],
    *[
        ([1, 2], [1, 3], {}),
        ([1, 2], [1], {}),
        ([1, 2], (1, 2), {}),
        ({"a": 1}, {"a": 1.5}, {}),
        ({"a": 1}, {"b": 1}, {}),
    ],
    *[
        ({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2.5}]}, {}),
        (np.ones(2), np.ones(2), {}),
        (np.ones(2), np.zeros(2), {}),
    ],
]


def outcome(check, *arguments, **options):
    try:
        check(*arguments, **options)
    except AssertionError:
        return "apart"
    except (TypeError, ValueError) as error:
        return TypeError if isinstance(error, TypeError) else ValueError
    return "close"


@pytest.mark.parametrize("name", CASES)
def test_tensors_are_close_where_pytorchs_are(name):
    one, other, options = CASES[name]
    one, other = (np.asarray(v, np.float32) if isinstance(v, list) else v for v in (one, other))
    theirs = outcome(torch.testing.assert_close, torch.from_numpy(one), torch.from_numpy(other), **options)
    assert outcome(assert_close, tv.from_numpy(one), tv.from_numpy(other), **options) == theirs


@pytest.mark.parametrize("case", PLAIN, ids=repr)
def test_numbers_and_nests(case):
    one, other, options = case
    assert outcome(assert_close, one, other, **options) == outcome(torch.testing.assert_close, one, other, **options)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(), kind=st.sampled_from(["float16", "float32", "float64", "int64", "uint8"]), size=st.integers(1, 5)
)
def test_at_the_edge_of_what_is_allowed(data, kind, size):
    whole = np.dtype(kind).kind != "f"
    one = np.array(data.draw(st.lists(st.integers(0, 90), min_size=size, max_size=size)), kind)
    steps = data.draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    other = one + (np.array(steps) if whole else np.array(steps) * np.finfo(kind).eps * np.maximum(one, 1)).astype(kind)
    rtol, atol = data.draw(st.sampled_from([(None, None), (0, 0), (1e-2, 0), (0, 2.0), (1e-6, 1e-7)]))
    theirs = outcome(torch.testing.assert_close, torch.from_numpy(one), torch.from_numpy(other), rtol=rtol, atol=atol)
    assert outcome(assert_close, tv.from_numpy(one), tv.from_numpy(other), rtol=rtol, atol=atol) == theirs


def test_the_message_says_where_and_by_how_much():
    one, other = tv.ones(2, 3), tv.ones(2, 3) + tv.tensor([0.0, 1.0, 2.0])
    with pytest.raises(AssertionError) as caught:
        assert_close({"weight": [one]}, {"weight": [other]})
    said = str(caught.value)
    for fact in (
        "4 of 6 numbers differ",
        "absolute difference 2 at (0, 2), allowed 1e-05",
        "0.666667",
        "['weight'][0]",
    ):
        assert fact in said
    with pytest.raises(AssertionError, match=r"shape is \(2, 3\) where \(3,\) was expected"):
        assert_close(one, tv.ones(3))
    with pytest.raises(AssertionError, match=r"dtype is torch.float32 where torch.float64 was expected"):
        assert_close(one, one.double())
    with pytest.raises(AssertionError, match=r"missing \['b'\], not expected \['a'\]"):
        assert_close({"a": 1}, {"b": 1})
    with pytest.raises(AssertionError, match=r"^my words$"):
        assert_close(1.0, 2.0, msg="my words")
    with pytest.raises(AssertionError, match=r"^step 3: assert_close: got 1\.0 where 2\.0"):
        assert_close(1.0, 2.0, msg=lambda said: f"step 3: {said}")


def test_whole_numbers_do_not_wrap_round():
    far = [tv.tensor([2**62, 5]), tv.tensor([-(2**62), 5])]
    with pytest.raises(AssertionError, match=r"1 of 2 numbers differ\n.*difference 9\.22337e\+18 at \(0,\)"):
        assert_close(*far, rtol=0, atol=1)
    for wrong in ({"rtol": -1, "atol": 0}, {"rtol": 0, "atol": float("nan")}):
        with pytest.raises(OptionError, match="0 or more"):
            assert_close(1.0, 1.0, **wrong)


def test_what_cannot_be_compared_is_refused():
    for one, other in ((tv.ones(2), np.ones(2)), (tv.ones(()), 1.0), ("a", "a"), (True, 1)):
        with pytest.raises(DtypeError, match="are not compared"):
            assert_close(one, other)
    with pytest.raises(OptionError, match="both rtol and atol"):
        assert_close(1.0, 1.0, rtol=1e-3)
    leaf = Parameter(np.ones(2, np.float32))
    assert_close(leaf, tv.ones(2))
    with pytest.raises(DtypeError):
        assert_close(leaf, tv.ones(2), allow_subclasses=False)
    across = tv.ones(3, 2).t()
    assert_close(across, tv.ones(2, 3))
    with pytest.raises(AssertionError, match="stride"):
        assert_close(across, tv.ones(2, 3), check_stride=True)


def test_whole_numbers_of_any_length():
    assert_close(2**70, 2**70)
    assert_close(2**70, 2**70 + 2**40, rtol=1e-6, atol=0)
    with pytest.raises(AssertionError, match=f"got {2**70} where {2**70 + 1} was expected"):
        assert_close(2**70, 2**70 + 1)
