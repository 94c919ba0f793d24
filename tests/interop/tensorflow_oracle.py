"""Run by a Python that has TensorFlow: write networks as TensorFlow Lite files, with an input and what it makes of it.

python tensorflow_oracle.py FOLDER     for every network NAME: FOLDER/NAME.tflite and FOLDER/NAME.npz
python tensorflow_oracle.py FILE.tflite IN.npz OUT.npz
python tensorflow_oracle.py NET.keras  FILE.tflite IN.npz OUT.npz
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf

L = tf.keras.layers


def interpret(path, arrays):
    """What TensorFlow Lite makes of the arrays, without what delegates change."""
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = tf.lite.Interpreter(str(path), num_threads=1, experimental_op_resolver_type=plain)
        interpreter.allocate_tensors()
    except RuntimeError:  # an op of MediaPipe's that only a delegate knows
        interpreter = tf.lite.Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def layers():
    """Networks of Keras's, by name."""
    unet = L.Input((8, 12, 3))
    a = L.Conv2D(4, 3, padding="same", activation="relu")(unet)
    b = L.Conv2D(6, 3, strides=2, padding="same")(a)
    b = L.PReLU(shared_axes=[1, 2])(L.BatchNormalization()(b))
    c = L.Conv2DTranspose(4, 3, strides=2, padding="same")(b)
    c = L.Concatenate()([c, L.UpSampling2D(2, interpolation="bilinear")(b)])
    yield "unet", tf.keras.Model(unet, [L.Conv2D(1, 1, activation="sigmoid")(c), L.GlobalAveragePooling2D()(b)])
    sequences = {
        "mobile": [
            L.Conv2D(8, 3, strides=2, padding="same", use_bias=False), L.BatchNormalization(), L.ReLU(6.0),
            L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2), L.BatchNormalization(),
            L.Activation("hard_silu"), L.AveragePooling2D((2, 3), strides=2, padding="same"), L.Flatten(),
            L.Dense(5, activation="softmax"),
        ],
        "dilated": [L.Conv2D(4, 3, dilation_rate=2, padding="same"), L.MaxPooling2D(3, 2, padding="same")],
        "transposed": [L.Conv2DTranspose(4, (3, 2), strides=3, activation="relu"), L.LeakyReLU(0.1)],
        "grouped": [L.Conv2D(6, (3, 2), groups=3, strides=(2, 1), activation="tanh")],
        "reshaped": [L.Reshape((16, 9)), L.Permute((2, 1)), L.Dense(4, activation="gelu"), L.Activation("elu")],
        "bordered": [L.ZeroPadding2D(((1, 2), (0, 3))), L.Cropping2D(1), L.UpSampling2D((2, 3))],
        "normalised": [L.LayerNormalization(), L.GlobalMaxPooling2D(), L.Dense(3, activation="log_softmax")],
    }  # fmt: skip
    for name, rows in sequences.items():
        yield name, tf.keras.Sequential([L.Input((8, 12, 3) if name != "reshaped" else (8, 6, 3)), *rows])


FUNCTIONS = {
    "corners": lambda x: tf.compat.v1.image.resize_bilinear(x, (5, 20), align_corners=True),
    "asymmetric": lambda x: tf.compat.v1.image.resize_bilinear(x, (5, 20)),
    "nearest": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (5, 20)),
    "nearest_corners": lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (5, 20), align_corners=True),
    "sliced": lambda x: x[:, 1:-1:2, 2:, ::-1][:, :, :, 0] + tf.split(x, 3, axis=3)[1][:, :3, :10, 0],
    "picked": lambda x: tf.stack(tf.unstack(tf.gather(x, [2, 0, 2], axis=3), axis=1), axis=2),
    "blocks": lambda x: tf.nn.depth_to_space(tf.nn.space_to_depth(x, 4), 2),
    "batches": lambda x: tf.batch_to_space(tf.nn.relu(tf.space_to_batch(x, [2, 3], [[0, 0], [0, 0]])), [2, 3],
                                           [[1, 0], [0, 2]]),
    "lengths": lambda x: tf.nn.l2_normalize(tf.pad(x, [[0, 0], [1, 2], [3, 1], [0, 0]], "REFLECT"), axis=-1),
    "means": lambda x: tf.reduce_mean(x, 3) * tf.reduce_max(x, [2, 3], keepdims=True)[:, :, :, 0],
    "sums": lambda x: tf.reduce_sum(x, [1]) - tf.reduce_min(tf.reduce_prod(x, [2, 3], keepdims=True), 1),
    "broadcast": lambda x: x * tf.constant([1.0, -2.0, 3.0]) + tf.range(12.0)[:, None] / 5 - tf.square(x[:, :1]),
    "powers": lambda x: tf.sqrt(tf.abs(x)) + tf.exp(-x) / tf.math.rsqrt(x * x + 1) + tf.sin(x) * tf.cos(x),
    "squeezed": lambda x: tf.expand_dims(tf.squeeze(tf.reduce_mean(x, [1, 2], keepdims=True), [1, 2]), 1),
    "rounded": lambda x: tf.floor(x) + tf.math.ceil(2 * x) - tf.round(3 * x) * tf.sign(x) + tf.math.floormod(x, 0.7),
    "divided": lambda x: tf.math.floordiv(x, 0.4) + tf.add_n([x, x * x, x[:, :1] * tf.ones((8, 1, 1))]),
    "chosen": lambda x: tf.where((x > 0.2) & ~(x[:, :, :1] >= tf.constant([0.1, 0.5, 9.0])), x * x, tf.constant(0.5)),
    "counted": lambda x: tf.reduce_sum(tf.cast((x < 0) | tf.equal(tf.round(x), 1), tf.float32), axis=3),
    "products": lambda x: tf.matmul(x, x, transpose_b=True),
    "tiled": lambda x: tf.tile(x, [1, 2, 1, 3]) - tf.maximum(tf.tile(x, [1, 2, 1, 3]), 0.3),
}  # fmt: skip


def converters():
    """(name, converter) of every network."""
    rng = np.random.default_rng(0)
    for name, model in layers():
        for v in model.variables:
            v.assign(np.abs(rng.normal(1, 0.3, v.shape)) if "variance" in v.path else rng.normal(0, 0.4, v.shape))
        yield name, tf.lite.TFLiteConverter.from_keras_model(model)
        if name in ("unet", "mobile"):
            half = tf.lite.TFLiteConverter.from_keras_model(model)
            half.optimizations, half.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [tf.float16]
            yield f"{name}_half", half
        if name == "mobile":
            eighth = tf.lite.TFLiteConverter.from_keras_model(model)
            eighth.optimizations = [tf.lite.Optimize.DEFAULT]
            eighth.representative_dataset = lambda: ([rng.random((1, 8, 12, 3), np.float32)] for _ in range(4))
            yield "quantised", eighth
    for name, function in FUNCTIONS.items():
        traced = tf.function(function, input_signature=[tf.TensorSpec((1, 8, 12, 3))])
        yield name, tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])


def write_all(folder):
    """Every network into the folder."""
    for name, converter in converters():
        path = folder / f"{name}.tflite"
        path.write_bytes(converter.convert())
        shape = tf.lite.Interpreter(str(path)).get_input_details()[0]["shape"]
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        np.savez(folder / f"{name}.npz", x, *interpret(path, [x]))


if len(sys.argv) == 2:
    write_all(Path(sys.argv[1]))
else:
    path, given, out = sys.argv[-3:]
    if len(sys.argv) == 5:
        model = tf.keras.models.load_model(sys.argv[1])
        Path(path).write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    with np.load(given) as arrays:
        np.savez(out, *interpret(path, [arrays[k] for k in arrays.files]))
