"""Run by a Python that has TensorFlow, which need not be the one that measures, nor have tinyvision.

    python tensorflow_worker.py NET.keras IN.npy THREADS

A line from standard input is the name of an engine; the answer on standard output is what it makes of IN.npy: a line
with a number of bytes, and an array in NumPy's format. The first answer, unasked, is TensorFlow's version in letters.
"""

import io
import os
import sys

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import numpy as np
import tensorflow as tf


def keras_on_tensorflow(model, x):
    """The network as a graph of TensorFlow's."""
    run, given = tf.function(lambda x: model(x, training=False)), tf.constant(x)
    return lambda: run(given).numpy()


def tensorflow_lite(model, x, threads):
    """The network by TensorFlow's converter, in its interpreter, which has its usual delegate (XNNPACK)."""
    flat = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = tf.lite.Interpreter(model_content=flat, num_threads=threads)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], x.shape)
    interpreter.allocate_tensors()

    def run():
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return run


def main(network, pictures, threads):
    """Answer until standard input ends."""
    # What libraries print is no answer: their standard output becomes the error stream.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, x = tf.keras.models.load_model(network), np.load(pictures)
    engines = {
        "Keras on TensorFlow": keras_on_tensorflow(model, x),
        "TensorFlow Lite": tensorflow_lite(model, x, threads),
    }
    answer = np.array(tf.__version__)
    while True:
        np.save(file := io.BytesIO(), answer)
        answers.write(b"%d\n" % file.tell() + file.getvalue())
        answers.flush()
        if not (line := sys.stdin.readline()):
            return
        answer = engines[line.rstrip("\n")]()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
