"""Cutting windows out of an image and adding them back, right and wrong: shared by convolution, pools and im2col.

`unfold` gives windows (N, C, OH, OW, KH, KW); `fold` is its adjoint. `fault` names one way to get it wrong. `columns`
lays windows out as rows, `windows` takes such rows for what they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .reference import out_size, padded, pair


def columns(view: np.ndarray) -> np.ndarray:
    """Windows (N, C, OH, OW, KH, KW) as the rows (N·OH·OW, C·KH·KW)."""
    n, c, oh, ow, kh, kw = view.shape
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, c * kh * kw)


def windows(cols: np.ndarray, shape: Sequence[int], o: Any) -> Any:
    """Rows (N·OH·OW, C·KH·KW) as windows (N, C, OH, OW, KH, KW)."""
    kernel = pair(o["kernel_size"])
    oh, ow = out_size(shape, kernel, o["stride"], o["padding"])
    return cols.reshape(shape[0], oh, ow, shape[1], *kernel).transpose(0, 3, 1, 2, 4, 5)


def _plan(x_shape, kernel, stride, padding, fault):
    """(stride, start offset, padding amounts) of the windows, as a faulty program has them."""
    (sh, sw), (ph, pw) = pair(stride), pair(padding)
    before, after = (ph, pw), (ph, pw)
    if fault == "stride_swapped":
        sh, sw = sw, sh
    if fault == "stride_height_for_both":
        sw = sh
    if fault == "stride_width_for_both":
        sh = sw
    if fault == "stride_is_kernel":
        sh, sw = kernel
    if fault == "padding_swapped":
        before = after = (pw, ph)
    if fault == "padding_height_for_both":
        before = after = (ph, ph)
    if fault == "padding_width_for_both":
        before = after = (pw, pw)
    if fault == "padding_ignored":
        before = after = (0, 0)
    if fault == "padding_after":
        before, after = (0, 0), (2 * ph, 2 * pw)
    if fault == "padding_before":
        before, after = (2 * ph, 2 * pw), (0, 0)
    return (sh, sw), before, after


GATHER_FAULTS = {
    "stride_ignored": "You moved the window by 1 instead of by the stride.",
    "stride_ignored_in_height": "You moved the window down by 1 instead of by the stride; across you did it right.",
    "stride_ignored_in_width": "You moved the window across by 1 instead of by the stride; down you did it right.",
    "stride_in_window": "You multiplied the place inside of the window by the stride; the stride belongs to where the "
    "window begins.",
    "stride_swapped": "You used the vertical stride for the columns and the horizontal one for the rows.",
    "stride_height_for_both": "You used the vertical stride for the columns too.",
    "stride_width_for_both": "You used the horizontal stride for the rows too.",
    "stride_is_kernel": "You moved the window by its own size; move it by the stride.",
    "padding_swapped": "You padded the rows with the columns' padding and the columns with the rows'.",
    "padding_height_for_both": "You used the vertical padding for the columns too.",
    "padding_width_for_both": "You used the horizontal padding for the rows too.",
    "padding_ignored": "You did not pad.",
    "padding_after": "You put all of the padding below and to the right of the image.",
    "padding_before": "You put all of the padding above and to the left of the image.",
    "from_the_end": "You aligned the windows with the bottom right corner; left-over rows and columns must be at the "
    "end, not at the start.",
    "kernel_swapped": "You cut windows of KW rows and KH columns instead of KH rows and KW columns.",
}


def unfold(x: np.ndarray, kernel: Any, stride: Any, padding: Any, fault: str | None = None, value: Any = 0.0) -> Any:
    """Windows (N, C, OH, OW, KH, KW) of x (N, C, H, W), padded with `value`."""
    kh, kw = pair(kernel)
    if fault == "kernel_swapped":
        kh, kw = kw, kh
    (sh, sw), before, after = _plan(x.shape, (kh, kw), stride, padding, fault)
    xp = np.pad(x, ((0, 0), (0, 0), (before[0], after[0]), (before[1], after[1])), constant_values=value)
    oh, ow = (xp.shape[2] - kh) // sh + 1, (xp.shape[3] - kw) // sw + 1
    top, left = 0, 0
    if fault == "from_the_end":
        top, left = xp.shape[2] - ((oh - 1) * sh + kh), xp.shape[3] - ((ow - 1) * sw + kw)
    sh, sw = _ignored(sh, sw, fault)
    out = np.empty((*x.shape[:2], oh, ow, kh, kw))
    if fault == "stride_in_window":
        rows = (np.arange(oh)[:, None] + sh * np.arange(kh))[:, None, :, None]
        return xp[:, :, rows, np.arange(ow)[:, None, None] + sw * np.arange(kw)]
    for i in range(oh):
        for j in range(ow):
            rows, cols = top + i * sh, left + j * sw
            out[:, :, i, j] = xp[:, :, rows : rows + kh, cols : cols + kw]
    return out


def _ignored(sh, sw, fault):
    """The strides, 1 where the fault does without."""
    down, across = fault == "stride_ignored_in_height", fault == "stride_ignored_in_width"
    return (1 if down or fault == "stride_ignored" else sh), (1 if across or fault == "stride_ignored" else sw)


FOLD_FAULTS = {
    "assigned": "You wrote = where windows overlap: each pixel keeps only its last window. Use += to add them up.",
    "stride_ignored": "You moved the window by 1 instead of by the stride when you put the gradient back.",
    "stride_ignored_in_height": "You spread the gradient by the stride across, but not down: there the window moved by "
    "1 when you put it back.",
    "stride_ignored_in_width": "You spread the gradient by the stride down, but not across: there the window moved by "
    "1 when you put it back.",
    "stride_swapped": "You used the vertical stride for the columns and the horizontal one for the rows when you put "
    "the gradient back.",
    "cropped_at_zero": "You cropped the padded gradient at [:H, :W]; the image starts at [pad_h, pad_w] inside it.",
    "cropped_swapped": "You cropped the padded gradient at [pad_w, pad_h]: height and width of the padding are "
    "swapped.",
    "cropped_at_end": "You cropped the padded gradient at [-H:, -W:]; the image starts at [pad_h, pad_w] inside it.",
    "not_cropped": "You returned the gradient of the padded image; cut the padding off again.",
    "from_the_end": "You put the windows back aligned with the bottom right corner; left-over rows and columns are at "
    "the end.",
    "averaged": "You divided each pixel by the number of windows it lies in; the shares must be added up.",
    "flipped": "You put each window back upside down and left to right.",
    "kernel_transposed": "You put each window back with its rows and columns exchanged.",
    "first_window_only": "Each pixel keeps only the first window it lies in; the shares must be added up.",
}


def fold(shares: Any, x_shape: Any, stride: Any, padding: Any, fault: str | None = None) -> np.ndarray:
    """Add windows (N, C, OH, OW, KH, KW) back into an image of `x_shape`."""
    oh, ow, kh, kw = shares.shape[2:]
    (sh, sw), (ph, pw) = pair(stride), pair(padding)
    if fault == "flipped":
        shares = shares[..., ::-1, ::-1]
    if fault == "kernel_transposed":
        shares = shares.swapaxes(4, 5)
        kh, kw = kw, kh
    sh, sw = _ignored(sh, sw, fault)
    if fault == "stride_swapped":
        sh, sw = sw, sh
    shape = (x_shape[0], x_shape[1], x_shape[2] + 2 * ph, x_shape[3] + 2 * pw)
    out, seen = np.zeros(shape), np.zeros(shape)
    top, left = 0, 0
    if fault == "from_the_end":
        top, left = shape[2] - ((oh - 1) * sh + kh), shape[3] - ((ow - 1) * sw + kw)
    for i in range(oh):
        for j in range(ow):
            here = (
                slice(None),
                slice(None),
                slice(top + i * sh, top + i * sh + kh),
                slice(left + j * sw, left + j * sw + kw),
            )
            _put(out, seen, here, shares[:, :, i, j], fault)
    if fault == "averaged":
        out /= np.maximum(seen, 1)
    return _crop(out, x_shape, (ph, pw), fault)


def _put(out, seen, here, share, fault):
    if fault == "assigned":
        out[here] = share
    elif fault == "first_window_only":
        out[here] = np.where(seen[here] > 0, out[here], share)
    else:
        out[here] += share
    seen[here] += 1


def _crop(out, x_shape, padding, fault):
    ph, pw = padding
    h, w = x_shape[2:]
    if fault == "not_cropped":
        return out
    if fault == "cropped_at_zero":
        ph = pw = 0
    if fault == "cropped_swapped":
        ph, pw = pw, ph
    if fault == "cropped_at_end":
        ph, pw = 2 * ph, 2 * pw
    return out[:, :, ph : ph + h, pw : pw + w]


def overlap_count(x_shape: Any, kernel: Any, stride: Any, padding: Any) -> np.ndarray:
    """In how many windows each pixel of the image lies: (H, W)."""
    oh, ow = out_size(x_shape, kernel, stride, padding)
    ones = np.ones((1, 1, oh, ow, *pair(kernel)))
    return fold(ones, (1, 1, *x_shape[2:]), stride, padding)[0, 0]


def touches_border(x_shape: Any, kernel: Any, stride: Any, padding: Any) -> Any:
    """True for pixels that share a window with the padding: (H, W)."""
    frame = padded(np.zeros((1, 1, *x_shape[2:])), padding, 1.0)
    touched = unfold(frame, kernel, stride, 0).any(axis=(4, 5))[0, 0]
    shares = np.broadcast_to(touched[None, None, :, :, None, None], (1, 1, *touched.shape, *pair(kernel)))
    return fold(shares.astype(float), (1, 1, *x_shape[2:]), stride, padding)[0, 0] > 0


def winners_of_the_image(x: np.ndarray, o: dict[str, Any], *, last: bool) -> np.ndarray:
    """Of every window, what one mask for the whole image says after all windows: 1 where a window was won.

    With `last`, each window has written over what the others said; without, a pixel that wins any window stays 1."""
    view = unfold(x, o["kernel_size"], o["stride"], o["padding"], None, -np.inf)
    won = view == view.max((4, 5), keepdims=True)
    (kh, kw), (sh, sw), (ph, pw) = view.shape[4:], pair(o["stride"]), pair(o["padding"])
    mask = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw), bool)
    places = [(i, j, np.s_[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]) for i, j in np.ndindex(view.shape[2:4])]
    for i, j, place in places:
        mask[place] = won[:, :, i, j] if last else mask[place] | won[:, :, i, j]
    out = np.zeros(view.shape)
    for i, j, place in places:
        out[:, :, i, j] = mask[place]
    return out
