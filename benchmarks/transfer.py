"""Does transfer learning pay? Pretrained features with a linear head against the same network trained from scratch.

The images are scikit-image's `lfw_subset`: 100 faces and 100 other patches, 25x25 grey. Ten images of each class are
for training, the other 180 for testing; every seed draws another ten. Both sides see the same images, enlarged to the
same size:

transfer   EfficientNet-Lite0 with its ImageNet weights, frozen; its 1,280 features are computed once per image, and a
           linear layer learns on the features of the twenty training images
scratch    the same network from random weights, all of it trained on the same twenty images, mirrored at random; the
           budget is short on purpose (see --epochs), as it is already a hundred times that of the linear layer

    python -m benchmarks.transfer --seeds 3 --epochs 10
"""

import argparse
import sys
import time

import numpy as np

import tinyvision as tv
from tinyvision import models, nn, optim
from tinyvision.data import transforms

PER_CLASS = 10


def enlarged(size):
    """(images float32 (200, 3, size, size) scaled as the network expects, labels (200,): 1 for a face)."""
    from skimage.data import lfw_subset

    scale = transforms.preprocess_for("efficientnet_lite0").transforms[-1]
    prepare = transforms.Compose(
        [transforms.Resize((size, size), interpolation="bicubic"), transforms.ToTensor(), scale]
    )
    grey = (lfw_subset() * 255).round().astype(np.uint8)
    images = np.stack([prepare(np.repeat(image[:, :, None], 3, axis=2)) for image in grey])
    return images, np.repeat([1, 0], 100)  # the faces come first


def divided(labels, seed):
    """(indices for training, indices for testing): PER_CLASS images of each class for training."""
    rng = tv.random.stream(seed, "split")
    train = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:PER_CLASS] for c in (0, 1)])
    return train, np.setdiff1d(np.arange(len(labels)), train)


def in_batches(function, images, size=25):
    """function of all images, a batch at a time, without recording."""
    with tv.no_grad():
        return np.concatenate([function(tv.tensor(images[i : i + size])).numpy() for i in range(0, len(images), size)])


def transfer(features, labels, train, test, seed):
    """Test accuracy of a linear layer on frozen features (200, 1280)."""
    tv.manual_seed(seed)
    mean, std = features[train].mean(axis=0), features[train].std(axis=0) + 1e-3
    x = tv.tensor((features - mean) / std)
    head = nn.Linear(features.shape[1], 2)
    optimizer = optim.SGD(head.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(x[train]), tv.tensor(labels[train])).backward()
        optimizer.step()
    return accuracy(head(x[test]).detach().numpy(), labels[test])


def scratch(images, labels, train, test, seed, epochs):
    """Test accuracy of the same network trained from random weights on the training images alone."""
    tv.manual_seed(seed)
    model = models.efficientnet_lite0(num_classes=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # the network's own 0.01 is made for hundreds of thousands of steps
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * 2)
    rng = tv.random.stream(seed, "order")
    for _ in range(epochs):
        for batch in np.split(rng.permutation(train), 2):
            x = np.where(rng.random((len(batch), 1, 1, 1)) < 0.5, images[batch], images[batch][:, :, :, ::-1])
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(tv.tensor(x)), tv.tensor(labels[batch])).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    return accuracy(in_batches(model, images[test]), labels[test])


def accuracy(scores, labels):
    """The share of rows whose largest score is at the label."""
    return float((scores.argmax(axis=1) == labels).mean())


def compare(seeds, epochs, size, say=print):
    """{"transfer": accuracies, "scratch": accuracies}, one for each seed; `say` is told of each."""
    images, labels = enlarged(size)
    start = time.perf_counter()
    network = models.efficientnet_lite0(pretrained=True).eval()
    features = in_batches(network.features, images)
    say(f"features of {len(images)} images of {size}x{size}: {time.perf_counter() - start:.1f} s")
    found = {"transfer": [], "scratch": []}
    for seed in range(seeds):
        train, test = divided(labels, seed)
        times = []
        for name, run in (
            ("transfer", lambda part, seed=seed: transfer(features, labels, *part, seed)),
            ("scratch", lambda part, seed=seed: scratch(images, labels, *part, seed, epochs)),
        ):
            start = time.perf_counter()
            found[name].append(run((train, test)))
            times.append(f"{name} {found[name][-1]:.1%} ({time.perf_counter() - start:.1f} s)")
        say(f"seed {seed}: " + ", ".join(times))
    return found


def main(argv=None):
    """Print test accuracies over several seeds; returns 0 if transfer was better on every seed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks transfer", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many draws of the training images (default 3)")
    parser.add_argument(
        "--epochs", type=int, default=10, help="passes over the training images from scratch (default 10)"
    )
    parser.add_argument("--size", type=int, default=128, help="pixels to which images are enlarged (default 128)")
    options = parser.parse_args(argv)
    try:
        found = compare(options.seeds, options.epochs, options.size)
    except (tv.TinyVisionError, ImportError) as error:
        print(f"transfer: {error}", file=sys.stderr)
        return 1
    print(f"\nfaces or not, {PER_CLASS} training images a class, 180 for testing (chance: 50 %)")
    for name, budget in (
        ("transfer", "a linear layer, 100 steps"),
        ("scratch", f"all layers, {options.epochs} epochs"),
    ):
        values = np.array(found[name])
        print(
            f"{name:<9} {values.mean():6.1%} ± {values.std(ddof=min(1, len(values) - 1)):.1%}   "
            f"({values.min():.1%} to {values.max():.1%})   {budget}"
        )
    return 0 if min(np.subtract(found["transfer"], found["scratch"])) > 0 else 2


if __name__ == "__main__":
    sys.exit(main())
