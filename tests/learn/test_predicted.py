"""Every mistake that an exercise's own text warns of is named when it is made."""

import pytest

from tests.learn.test_kernel_exercises import MISTAKES as KERNEL_MISTAKES
from tinyvision.learn import course
from tinyvision.learn.judge import judge

CROP = "PH : PH + H, PW : PW + W"
NORMALISED = "(x - np.asarray(mean, dtype=np.float32)) / np.asarray(std, dtype=np.float32)"
ADDED = "gradients[name] = gradients[name] + gradient if name in gradients else gradient"
IN_PLACE = """if name in gradients:
                gradients[name] += gradient
            else:
                gradients[name] = gradient"""
PLACE = "i * SH + winner // KW, j * SW + winner % KW"
VELOCITY = "velocity = momentum * velocity + grad"
FROZEN = "return dy * (weight * r)[:, None, None], "
AS_IN_TRAINING = """mean = lambda a: a.mean(axis=(0, 2, 3), keepdims=True)
    return (weight * r)[:, None, None] * (dy - mean(dy) - xhat * mean(dy * xhat)), """

# exercise -> (of the solution, what stands in its place, words of the finding), ...
PREDICTED = {
    "out_size": [
        ("2 * padding", "padding", "on both sides"),
        ("// stride + 1", "// stride", "the first one counts too"),
        (" // stride", " / stride", "Use //"),
        (" // stride + 1", " + 1", "The stride is not in"),
    ],
    "padding": [
        (CROP, "PH:-PH, PW:-PW", "-0 is 0"),
        (CROP, ":H, :W", "top left corner"),
        (CROP, "PH : H, PW : W", "too short"),
        (", dtype=x.dtype", "", "give np.zeros the dtype of x"),
    ],
    "conv_loops": [
        ("total = bias[o]", "total = 0", "did not add the bias"),
        ("i * SH + k, j * SW + l", "i + k, j + l", "by 1 instead of by the stride"),
        ("total += x", "total = x", "Only the last product"),
        ("i * SH + k, j * SW + l", "i + k * SH, j + l * SW", "inside of the window by the stride"),
    ],
    "im2col": [
        (".transpose(0, 4, 5, 1, 2, 3)", "", "without the transpose"),
        (".transpose(0, 4, 5, 1, 2, 3)", ".transpose(0, 4, 5, 2, 3, 1)", "ordered (KH, KW, C)"),
        ("k : k + OH * SH : SH, l : l + OW * SW : SW", "k : k + OH, l : l + OW", "by 1 instead of by the stride"),
    ],
    "conv_forward": [
        ("rows.reshape(N, OH, OW, O).transpose(0, 3, 1, 2)", "rows.reshape(N, O, OH, OW)", "by reshape alone"),
        (" + bias", "", "did not add the bias"),
        ("weight.reshape(O, -1).T", "weight.reshape(-1, O)", "without the transpose"),
    ],
    "relu_forward": [("np.maximum(x, 0)", "np.max(x, 0)", "np.maximum")],
    "maxpool_forward": [
        (", constant_values=-np.inf", "", "pad with -inf"),
        ("axis=(2, 3)", "", "one number for all images"),
        ("axis=(2, 3)", "axis=(0, 2, 3)", "over the images too"),
    ],
    "avgpool_forward": [
        ("window.sum(axis=(2, 3)) / (KH * KW)", "window.mean()", "one number for all images"),
        ("(PW, PW)))", "(PW, PW)), constant_values=np.nan)", "count too"),
    ],
    "linear_forward": [("weight.T", "weight", "x @ weight.T"), (" + bias", "", "did not add the bias")],
    "softmax": [
        ("e.sum(axis=1, keepdims=True)", "e.sum(axis=1)", "without keepdims=True"),
        ("x.max(axis=1, keepdims=True)", "x.max(axis=1)", "without keepdims=True"),
        (", keepdims=True", "", "keepdims=True"),
        ("x - x.max(axis=1, keepdims=True)", "x", "maximum before exp"),
        ("x.max(axis=1, keepdims=True)", "x.max()", "row's own maximum"),
        ("e.sum(axis=1, keepdims=True)", "e.sum(axis=0)", "over the batch"),
        ("e.sum(axis=1, keepdims=True)", "e.sum()", "each row must sum to 1"),
    ],
    "cross_entropy": [
        ("shifted[np.arange(len(labels)), labels]", "shifted[:, labels]", "columns of all labels"),
        (".mean()\n", ".sum()\n", "take the mean"),
        ("np.exp(shifted).sum(axis=1)", "np.exp(shifted).sum(axis=0)", "axis 0"),
        ("np.exp(shifted).sum(axis=1)", "np.exp(shifted).sum()", "all images and classes"),
        (
            "(log_sum - shifted[np.arange(len(labels)), labels])",
            "-np.log(np.exp(shifted)[np.arange(len(labels)), labels] / np.exp(shifted).sum(axis=1))",
            "that may be 0",
        ),
    ],
    "accuracy": [
        ("scores.argmax(axis=1)", "scores.max(axis=1)", "*place*"),
        ("scores.argmax(axis=1)", "scores.argmax(axis=0)", "axis 0"),
        ("scores.argmax(axis=1)", "scores.argmax()", "without an axis"),
    ],
    "numeric_gradient": [
        ("f(down)) / (2 * h)", "f(x)) / h", "upwards only"),
        ("(2 * h)", "h", "2h apart"),
        ("up, down = x.copy(), x.copy()", "up = down = x.copy()", "same array"),
        ("x.copy(), x.copy()", "x, x", "same array"),
    ],
    "linear_backward": [
        ("dy.T @ x", "dy.T @ x / len(x)", "already carries the mean"),
        ("dy.sum(axis=0)", "dy.mean(axis=0)", "averaged over the batch"),
    ],
    "relu_backward": [
        ("(x > 0)", "((x > 0) & (dy > 0))", "sign of dy does not matter"),
        ("(x > 0)", "(dy > 0)", "take it from x"),
    ],
    "softmax_backward": [
        ("(dy * y).sum(axis=1, keepdims=True)", "(dy * y).sum()", "take it for each row"),
        ("(dy * y).sum(axis=1, keepdims=True)", "dy.mean(axis=1, keepdims=True)", "mean of dy"),
        ("y * (dy - (dy * y).sum(axis=1, keepdims=True))", "dy * y * (1 - y)", "diagonal"),
    ],
    "cross_entropy_backward": [
        (" / len(labels)", "", "did not divide by N"),
        ("(dy / len(labels))", "1 / len(labels)", "never used dy"),
        ("p[np.arange(len(labels)), labels] -= 1", "p[:, labels] -= 1", "subtracts in every row"),
    ],
    "col2im": [("+= windows", "= windows", "must be added up"), (CROP, ":H, :W", "cropped")],
    "conv_dweight": [
        ("dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))", "dy.reshape(len(weight), -1).T", "without the transpose"),
        ("dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))", "dy.reshape(-1, len(weight))", "without the transpose"),
    ],
    "conv_dbias": [("axis=(0, 2, 3)", "axis=(2, 3)", "over the batch"), ("sum(axis", "mean(axis", "take the sum")],
    "conv_dx": [(CROP, ":H, :W", "cropped"), (CROP, "PH:-PH, PW:-PW", "is empty where p = 0")],
    "maxpool_backward": [
        ("winner // KW, j * SW + winner % KW", "winner // KH, j * SW + winner % KH", "divmod(place, KW)"),
        ("winner // KW", "winner // KH", "winner // KW"),
        ("winner // KW, j * SW + winner % KW", "winner % KW, j * SW + winner // KW", "row as its column"),
        (PLACE, "winner // KW, winner % KW", "begins at (i·SH, j·SW)"),
        ("column] += dy", "column] = dy", "Use +="),
    ],
    "avgpool_backward": [("] += share", "] = share", "Use +="), (" / (KH * KW)", "", "divide by KH·KW")],
    "global_avgpool": [
        ("x.mean(axis=(2, 3))", "x.sum(axis=(2, 3))", "That is the sum"),
        (" / (H * W)", "", "its share is dy / (H·W)"),
    ],
    "batchnorm_forward": [
        ("axis=(0, 2, 3)", "axis=(1, 2, 3)", "layer normalisation"),
        ("axis=(0, 2, 3)", "axis=(2, 3)", "instance normalisation"),
        ("axis=(0, 2, 3)", "axis=1", "channels of each pixel"),
        ("[:, None, None]", "", "meet the last axis"),
        ("x.var(axis=(0, 2, 3), keepdims=True)", "x.var(axis=(0, 2, 3), keepdims=True, ddof=1)", "unbiased"),
    ],
    "batchnorm_steps": [
        (" + dvariance * 2 * c / M", "", "through the variance is missing"),
        ("dc + dmean / M", "dc", "through the mean is missing"),
        ("dmean / M", "dmean", "the mean of dy"),
        ("2 * c / M", "2 * c", "divided by N·H·W"),
        ("2 * c / M", "c / M", "derivative of a square"),
    ],
    "batchnorm_formula": [
        ("dbias[:, None, None] / M", "dbias[:, None, None]", "the mean of dy"),
        ("dweight[:, None, None] / M", "dweight[:, None, None]", "divided by N·H·W"),
    ],
    "batchnorm_frozen": [
        (FROZEN, AS_IN_TRAINING, "the backward of training"),
        ("(running_var + eps) ** -0.5", "1 / (running_var + eps)", "square root"),
    ],
    "residual": [
        ("dy.copy(), dy.copy()", "dy, dy", "share their memory"),
        ("dy.copy(), dy.copy()", "dy.copy(), 0 * dy", "its path is missing"),
        ("return x + branch", "x += branch\n    return x", "changes its input x in place"),
    ],
    "dropout": [
        ("return x * mask / (1 - p)", "return x * mask", "divide by 1 - p"),
        ("return dy * mask", "import numpy as np\n    return dy * (np.random.rand(*dy.shape) > p)", "random"),
    ],
    "tape_walk": [
        (ADDED, "gradients[name] = gradient", "used twice"),
        (ADDED, IN_PLACE, "in place"),
        ("            if gradient is None:\n                continue\n", "", "None"),
    ],
    "bug_hunt_backward": [
        ('"b"', '"a"', "arrays of any size"),
        ('"b"', '"c"', "no tolerance"),
        ('"b"', '"d"', "no kink"),
        ('GUILTY = "softmax', 'GUILTY = "relu', "relu_backward is right"),
        ("(dy * y).sum(axis=1, keepdims=True)", "dy.mean(axis=1, keepdims=True)", "mean of dy"),
    ],
    "sgd": [("weight - lr * grad", "weight + lr * grad", "uphill")],
    "momentum": [
        (VELOCITY, "velocity = momentum * velocity + (1 - momentum) * grad", "damped"),
        (f"{VELOCITY}\n    return weight - lr * velocity, velocity",
         "new = momentum * velocity + grad\n    return weight - lr * velocity, new", "old velocity"),
    ],
    "weight_decay": [
        (" + weight_decay * weight\n    return weight", "\n    return weight - lr * weight_decay * weight", "AdamW"),
    ],
    "normalise_images": [
        ("astype(np.float32) / 255", "astype(np.float32)[..., ::-1] / 255", "Red and blue"),
        ("x.transpose(0, 3, 1, 2)", "x.reshape(len(x), 3, *x.shape[1:3])", "reshape moves no number"),
        (NORMALISED, "(x - mean) / std", "float32 is asked for"),
        (f"images.astype(np.float32) / 255\n    x = {NORMALISED}",
         "((images - (255 * np.asarray(mean)).astype(np.uint8)) / 255 / std).astype(np.float32)", "bytes"),
    ],
    "training_loop": [
        ("            optimizer.zero_grad()\n", "", "zero_grad() is missing"),
        ("float(loss)", "loss", "whole graph"),
    ],
    "bug_hunt_training": [("* (2 / I) ** 0.5", "* 0", "2 of the three")],
    "kaiming_init": [
        ("np.prod(shape[1:])", "shape[0]", "fan_out"),
        ("np.prod(shape[1:])", "shape[1]", "belongs to fan_in too"),
        ("np.sqrt(2 / fan_in)", "2 / fan_in", "its root"),
        ("np.sqrt(2 / fan_in)", "2 * np.sqrt(2 / fan_in)", "twice"),
    ],
    "resnet_block": [
        ("self.relu(out + skip)", "self.relu(out) + skip", "before"),
        ("1, stride=stride, bias", "1, bias", "needs the same stride"),
        ("1, stride=stride, bias=False)", "1, stride=stride)", "downsample.0.bias"),
    ],
    "load_pretrained": [
        (" and tuple(own[name].shape) == tuple(w.shape)", "", "compare the shapes"),
        ("name in own and ", "", "name in own"),
    ],
    "freeze": [("            module.eval()\n", "            pass\n", "evaluation mode"), ('"fc."', '"fc"', "fcx")],
    "fine_tune": [("classes)\n", "classes)\n    model.freeze()\n", "frozen as well")],
    "upsample": [
        ("blocks.sum", "blocks.mean", "average pooling"),
        (".repeat(scale, axis=3)", "", "Only the rows"),
        ("H // scale, scale, W // scale, scale)\n    return blocks.sum(axis=(3, 5))",
         "scale, H // scale, scale, W // scale)\n    return blocks.sum(axis=(2, 4))", "wrong order"),
    ],
    "convtranspose": [
        ("+= pasted", "= pasted", "Use +="),
        ("dx += np", "dx = np", "Only the last tap is left in dx"),
        ("heard, weight[:, :, k, l]", "heard, weight[:, :, -1 - k, -1 - l]", "turned the kernel"),
        ("x, weight[:, :, k, l]", "x, weight[:, :, -1 - k, -1 - l]", "turned by 180°"),
    ],
    "batchnorm_cs231n": [
        ("momentum * running_mean + (1 - momentum) * mean", "(1 - momentum) * running_mean + momentum * mean",
         "are exchanged"),
        ('if mode == "train":', "if True:", "in training only"),
        ("x.mean(axis=0), x.var(axis=0)\n", "x.mean(axis=0), x.var(axis=0, ddof=1)\n", "unbiased"),
        (" / len(dout)", "", "divided by N"),
    ],
    "groupnorm": [
        ("g.mean(axis=(2, 3, 4), keepdims=True)\n    r = ((c * c).mean(axis=(2, 3, 4)",
         "g.mean(axis=(3, 4), keepdims=True)\n    r = ((c * c).mean(axis=(3, 4)", "instance norm"),
        ("(dy * weight[:, None, None]).reshape(shape)", "dy.reshape(shape)", "did not multiply by weight"),
        (" - h * (d * h).mean(axis=(2, 3, 4), keepdims=True)", "", "through the variance is missing"),
    ],
    "gelu": [
        ("1 - t**2", "1 - t", "the square is missing"),
        ("0.5 * (1 + t) + ", "", "a term is missing"),
        (" + 0.5 * x * (1 - t**2) * du", "", "the second term is missing"),
        ("(1 - t**2) * du", "(1 - t**2)", "one step further in"),
        ("3 * 0.044715", "0.044715", "the 3 is missing"),
    ],
    "memory_hunt": [
        ("losses.append(float(loss.array))", "losses.append(loss)", "2 of the three leaks"),
        ("value.call = None", "value.grad = dy", "2 of the three leaks"),
    ],
    "bug_report": [
        ('"c"', '"a"', "not the point"),
        ("[seed, epoch, k]", "seed", "All workers still"),
        ("[seed, epoch, k]", "[seed, k]", "the epoch must be part"),
        ("[seed, epoch, k]", "seed + epoch + k", "meets itself"),
        ("[seed, epoch, k]", "", "could not be repeated"),
    ],
    "float16_hunt": [
        ("    x = x.astype(np.float32)\n    return (x * x)", "    return (x * x)", "beyond 65504"),
        ("gradient.astype(np.float32) / scale", "(gradient / np.float16(scale)).astype(np.float32)", "are 0 again"),
        ("bool(np.isfinite(wide).all())", "True", "must be told"),
    ],
    "make_it_fast": [
        ("np.maximum(squares - 2 * (a @ b.T), 0)", "squares - 2 * (a @ b.T)", "below 0"),
        ("np.maximum(squares - 2 * (a @ b.T), 0)", "((a[:, None] - b) ** 2).sum(axis=2)", "N·M·D" ),
        ("np.maximum(squares - 2 * (a @ b.T), 0)", "slow_distances(a, b)", "a loop"),
        ("squares - 2 *", "squares - 1 *", "counts twice"),
    ],
    "dice_loss": [
        ("(2 * t * total - overlap) / total**2", "2 * t / total", "quotient rule"),
        ("-dy / len(p)", "-dy", "1/N"),
        ("-dy / len(p)", "dy / len(p)", "sign is turned round"),
        ("overlap = 2 * (p", "overlap = (p", "The 2 is missing"),
    ],
    "unet_block": [
        ("[x, skip]", "[skip, x]", "skip comes first"),
        ("channels // 2 + skip_channels", "channels // 2", "conv1.weight is"),
        ("x = nn.functional.pad(x, (0, W - x.shape[3], 0, H - x.shape[2]))", "pass", "pad x to the size of skip"),
        ("(0, W - x.shape[3], 0, H - x.shape[2])", "(W - x.shape[3], 0, H - x.shape[2], 0)", "above and to the left"),
    ],
    "nms": [
        ("np.maximum(width, 0) * np.maximum(height, 0)", "width * height", "negative width"),
        ("<= threshold", "< threshold", "*above* it"),
        ("left = left[overlaps(boxes[best], boxes[left]) <= threshold]", "pass", "Nobody goes"),
    ],
    "average_precision": [
        ("    precision = np.maximum.accumulate(precision[::-1])[::-1]\n", "", "not made falling"),
        ("precision[::-1])[::-1]", "precision)", "from the right"),
        ("hits / things", "hits / len(hits)", "of the things there are"),
        ("precision, 0.0)[places]", "precision, precision[-1])[places]", "not the last one"),
        ("np.append(precision, 0.0)[places].mean()", "precision.mean()", "over the 101 recalls"),
    ],
    "roc_auc": [
        ("more + equal / 2", "more", "not as lost"),
        ("more + equal / 2", "more + equal", "not as won"),
        ("likeness[same == 1], likeness[same == 0]", "likeness[same == 0], likeness[same == 1]", "other way round"),
        ("likeness[same == 1], likeness[same == 0]", "likeness, likeness", "All pairs are compared"),
    ],
    "arcface": [
        ("scale * np.cos(angle + margin)", "scale * (cosines[rows, labels] - margin)", "add it to the angle"),
        ("scale * np.cos(angle + margin)", "scale * np.cos(angle - margin)", "makes it easier"),
        ("scale * np.cos(angle + margin)", "np.cos(angle + margin)", "scale is missing"),
        ("np.sin(angle + margin) / np.sin(angle)", "np.sin(angle + margin)", "is missing"),
        ("np.sin(angle + margin) / np.sin(angle)", "-np.sin(angle + margin) / np.sin(angle)", "make a plus"),
    ],
    "add_noise": [
        ("np.sqrt(share) * x + np.sqrt(1 - share)", "share * x + (1 - share)", "variances that add up"),
        ("[:, None, None, None]", "[None, None, None, :]", "belong to the first axis"),
        ("+ np.sqrt(1 - share) * noise", "+ noise", "it has a share, too"),
    ],
    "ddim_step": [
        (", -1, 1)", ", -np.inf, np.inf)", "not cut off"),
        ("noise = (x - np.sqrt(now) * picture) / np.sqrt(1 - now)", "pass", "solve for the noise again"),
        (") / np.sqrt(now), -1, 1", "), -1, 1", "division by √now"),
        ("return np.sqrt(then) * picture + np.sqrt(1 - then) * noise", "return picture", "That is the picture"),
    ],
    "grad_cam": [
        ("np.maximum((share * A).sum(axis=1), 0)", "(share * A).sum(axis=1)", "keep the positive"),
        ("dA.mean(axis=(2, 3), keepdims=True)", "np.abs(dA).mean(axis=(2, 3), keepdims=True)", "its sign"),
        ("np.where(top > 0, top, 1)", "top", "0/0"),
    ],
}  # fmt: skip


def test_every_exercise_has_its_mistakes_here():
    kernels = {name for name, *_ in KERNEL_MISTAKES}  # told by what the emulated GPU saw
    assert set(PREDICTED) | kernels == set(course.names())


@pytest.mark.parametrize("name", PREDICTED)
def test_what_an_exercise_warns_of_is_named(name, tmp_path):
    one = course.exercise(name)
    path = tmp_path / one.file
    for old, new, words in PREDICTED[name]:
        assert old in one.solution(), old
        path.write_text(one.solution().replace(old, new), encoding="utf-8")
        report = judge(name, path)
        told = " ".join(f.message for f in report.findings)
        assert not report.passed, (old, new)
        assert words in told, (old, new, told)
        assert "cannot name" not in told, (old, new, told)
