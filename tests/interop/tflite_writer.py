"""Small TensorFlow Lite files, written field by field: what tests of the reader read."""

import importlib

import flatbuffers
import numpy as np
import tflite

_KINDS = {np.dtype(dtype): getattr(tflite.TensorType, dtype.upper()) for dtype in
          ("float32", "float16", "int32", "int64", "int8", "uint8")}  # fmt: skip


def _table(builder, name, **fields):
    """A table of the format with these fields; vectors and strings are offsets already."""
    module = importlib.import_module(f"tflite.{name}")
    getattr(module, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(module, f"{name}Add{field}")(builder, value)
    return getattr(module, f"{name}End")(builder)


def _offsets(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _integers(builder, values):
    return builder.CreateNumpyVector(np.asarray(values, np.int32))


def write(path, values, nodes, inputs, outputs):
    """values {name: an array of the file, or a shape}; nodes [(kind, inputs, outputs, options' table, options)]."""
    b, names = flatbuffers.Builder(1024), list(values)
    buffers, tensors = [_table(b, "Buffer")], []
    for name, value in values.items():
        array = value if isinstance(value, np.ndarray) else None
        number = 0
        if array is not None:
            data = b.CreateNumpyVector(np.frombuffer(array.tobytes(), np.uint8))
            number = len(buffers)
            buffers.append(_table(b, "Buffer", Data=data))
        text, shape = b.CreateString(name), _integers(b, array.shape if array is not None else value)
        kind = _KINDS[array.dtype if array is not None else np.dtype("float32")]
        tensors.append(_table(b, "Tensor", Name=text, Shape=shape, Type=kind, Buffer=number))
    codes, operators = [], []
    for kind, given, made, table, options in nodes:
        custom = b.CreateString(kind[7:]) if kind.startswith("CUSTOM ") else None
        number = getattr(tflite.BuiltinOperator, kind.split()[0])
        more = {} if custom is None else {"CustomCode": custom}
        codes.append(_table(b, "OperatorCode", BuiltinCode=number, DeprecatedBuiltinCode=min(number, 127), **more))
        vectors = {
            "Inputs": _integers(b, [-1 if n is None else names.index(n) for n in given]),
            "Outputs": _integers(b, [names.index(n) for n in made]),
        }
        if isinstance(table, bytes):
            vectors["CustomOptions"] = b.CreateByteVector(table)
        elif table:
            vectors["BuiltinOptions"] = _table(b, table, **options)
            vectors["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, table)
        operators.append(_table(b, "Operator", OpcodeIndex=len(codes) - 1, **vectors))
    graph = {
        "Tensors": _offsets(b, tensors),
        "Inputs": _integers(b, [names.index(n) for n in inputs]),
        "Outputs": _integers(b, [names.index(n) for n in outputs]),
        "Operators": _offsets(b, operators),
    }
    graphs = _offsets(b, [_table(b, "SubGraph", **graph)])
    model = {"OperatorCodes": _offsets(b, codes), "Buffers": _offsets(b, buffers), "Subgraphs": graphs}
    b.Finish(_table(b, "Model", Version=3, **model), file_identifier=b"TFL3")
    path.write_bytes(bytes(b.Output()))
    return path
