"""The table of a model against numbers worked out by hand."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn
from tinyvision.errors import OptionError, ShapeError
from tinyvision.nn.module import numpy_state


def test_every_row_of_a_small_network():
    model = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), padding=1, groups=2), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6 * 5 * 7, 3)
    )
    model[1].freeze()
    made = nn.summary(model, (4, 5, 6))
    assert [(r.name, r.kind, r.shape, r.parameters, r.multiply_adds) for r in made.rows] == [
        ("0", "Conv2d", (1, 6, 5, 7), 6 * 2 * 3 * 2 + 6, 6 * 5 * 7 * (2 * 3 * 2)),
        ("1", "BatchNorm2d", (1, 6, 5, 7), 12, 0),
        ("2", "Flatten", (1, 210), 0, 0),
        ("3", "Linear", (1, 3), 3 * 210 + 3, 3 * 210),
    ]
    assert made.parameters == 78 + 12 + 633
    assert made.trainable == 78 + 633
    assert made.multiply_adds == 2520 + 630
    assert "723 parameters (711 trainable), 3,150 multiply-adds an image" in str(made)
    assert nn.summary(model, (8, 4, 5, 6)).multiply_adds == made.multiply_adds


def test_resnet18():
    made = nn.summary(models.resnet18(), (3, 224, 224))
    assert made.parameters == made.trainable == 11_689_512
    # Stem; layer 1 at 56²; layers 2 to 4, each with a first stride-2 convolution and a 1x1 beside it; head.
    stem, first = 64 * 112 * 112 * 3 * 49, 4 * 64 * 56 * 56 * 64 * 9
    later = sum(c * n * n * (c // 2 * 9 + 3 * c * 9 + c // 2) for c, n in ((128, 28), (256, 14), (512, 7)))
    assert made.multiply_adds == stem + first + later + 512 * 1000 == 1_814_073_344
    assert "1.81 billion" in str(made)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).double()
    model[2].eval()
    before, generator = numpy_state(model), repr(tv.random.generator().bit_generator.state)
    nn.summary(model, (3, 5, 5))
    with pytest.raises(ShapeError, match="2 channels"):
        nn.summary(model, (2, 5, 5))
    assert [m.training for m in model] == [True, True, False]
    assert repr(tv.random.generator().bit_generator.state) == generator
    for name, value in numpy_state(model).items():
        np.testing.assert_array_equal(value, before[name])
    assert not any(model._hooks("after") for model in model.modules())


@pytest.mark.parametrize("shape", [(), (3, 4), (1, 2, 3, 4, 5), (3, 0, 4), (3, 4.0, 4), "abc", 3, None])
def test_shapes_that_are_none(shape):
    with pytest.raises(OptionError, match="input_shape"):
        nn.summary(nn.ReLU(), shape)


def test_vectors_shared_layers_and_layers_without_a_tensor():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Uses(nn.Module):
        def __init__(self):
            self.pair, self.linear = Pair(), nn.Linear(4, 4)

        def forward(self, x):
            a, b = self.pair(x)
            return self.linear(self.linear(a)) + b

    made = nn.summary(Uses(), (4,))
    assert made.parameters == 20
    assert made.multiply_adds == 2 * 16
    assert made.rows[0].shape == ()


def test_a_transposed_convolution_counts_every_kernel_that_it_puts_down():
    table = nn.summary(nn.ConvTranspose2d(3, 4, 2, stride=2, bias=False), (3, 5, 6))
    assert table.rows[0].shape == (1, 4, 10, 12)
    assert table.multiply_adds == 5 * 6 * 3 * (4 * 2 * 2)
