"""The model's graph as a strongly typed engine wants it: chosen outputs, one batch size, the
precision written in (needs onnx).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
    shape_inference,
)

from classify.errors import ModelError

from .engine import SEPARATOR

FLOAT = TensorProto.FLOAT
TYPES = {"f32": FLOAT, "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
PRODUCTS = {"Conv", "Gemm", "MatMul"}
_WHOLE = {"InstanceNormalization"}  # its sums run over thousands of pixels
HALF_FROM = 1024  # tensors of fewer numbers stay whole: they cost nothing
PARAMETERS = {"Resize": 1}  # inputs from this one on are settings that stay as they are


def specialised(path: Path, output: str, batch: int, precision: str = "f32") -> ModelProto:
    """The graph cut to the outputs that `output` names, for exactly `batch` pairs, with its
    products in `precision`.

    Precision is lowered from the first product (convolution, matrix product) to the last; noise,
    norms and the sums over pixels, which end as differences of nearly equal numbers, stay fp32.

    Raises:
        KeyError: the precision is none of f32, f16, bf16.
        ModelError: the file is no graph.
    """
    model = load_graph(path)
    unfold_weights(model.graph)
    cut(model.graph, output.split(SEPARATOR))
    fix_batch(model.graph, batch)
    if TYPES[precision] != FLOAT:
        Lowering(model, TYPES[precision]).run()
    onnx.checker.check_model(model)
    return model


def load_graph(path: Path) -> ModelProto:
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ModelError(
            f"{path}: no graph that can be read: {error}",
            "export the model again, or restore the file",
        ) from error


def unfold_weights(graph: GraphProto) -> None:
    """Weights stored as halves with a cast become the fp32 weights that the arithmetic sees."""
    stored = {t.name: t for t in graph.initializer}
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in stored]
    for node in casts:
        values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def halve_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 weights as float16, with a cast back: half the file, the same
    arithmetic.
    """
    keep = []
    casts = []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALF_FROM:
            keep.append(tensor)
            continue
        keep.append(numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half"))
        casts.append(
            helper.make_node("Cast", [tensor.name + "_half"], [tensor.name], to=TensorProto.FLOAT)
        )
    nodes = casts + list(proto.graph.node)
    for part in (proto, proto.graph, *nodes, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # the exporter's traces name this machine's folders
    del proto.graph.initializer[:], proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.initializer.extend(keep)
    proto.graph.node.extend(nodes)
    return proto


def cut(graph: GraphProto, wanted: Sequence[str]) -> None:
    """Keep what these outputs need."""
    used = leads_to(graph.node, set(wanted))
    keep = [node for node, is_used in zip(graph.node, used, strict=True) if is_used]
    names = {name for n in keep for name in n.input}
    tensors = [t for t in graph.initializer if t.name in names]
    known = {o.name: o for o in graph.output}
    outputs = [known[name] for name in wanted]
    del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
    graph.node.extend(keep)
    graph.initializer.extend(tensors)
    graph.output.extend(outputs)


def leads_to(nodes: Iterable[NodeProto], targets: set[str]) -> list[bool]:
    """Which nodes, in their order, a target tensor is computed from."""
    wanted = set(targets)
    found = []
    for node in reversed(list(nodes)):
        found.append(not wanted.isdisjoint(node.output))
        if found[-1]:
            wanted.update(node.input)
    return found[::-1]


def comes_from(nodes: Iterable[NodeProto], sources: set[str]) -> list[bool]:
    """Which nodes, in their order, are computed from a source tensor."""
    reached = set(sources)
    found = []
    for node in nodes:
        found.append(not reached.isdisjoint(node.input))
        if found[-1]:
            reached.update(node.output)
    return found


def fix_batch(graph: GraphProto, batch: int) -> None:
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = batch


class Lowering:
    """Rewrites a graph so that everything between its first and last product is of a lower type,
    with casts at the border.
    """

    def __init__(self, model: ModelProto, to: int):
        self.graph = model.graph
        self.to = to
        self.floats = float_tensors(model)
        self.tensors = {t.name: t for t in model.graph.initializer}
        self.lowered: set[str] = set()
        self.made: set[str] = set()
        self.nodes: list[NodeProto] = []

    def run(self) -> None:
        inside = between_products(self.graph)
        for node, lower in zip(self.graph.node, inside, strict=True):
            for i, name in list(enumerate(node.input))[: PARAMETERS.get(node.op_type)]:
                node.input[i] = self.as_type(name, self.to if lower else FLOAT)
            self.nodes.append(node)
            if lower:
                self.lowered |= self.floats.intersection(node.output)
        self.finish()

    def as_type(self, name: str, want: int) -> str:
        """The name under which a float tensor is to be had in the wanted type; other tensors keep
        theirs.
        """
        has = self.to if name in self.lowered else FLOAT
        if name not in self.floats or has == want:
            return name
        cast = f"{name}_as_{TensorProto.DataType.Name(want).lower()}"
        if cast not in self.made:
            self.made.add(cast)
            self.make(name, cast, want)
        return cast

    def make(self, name: str, cast: str, want: int) -> None:
        if name in self.tensors:
            values = numpy_helper.to_array(self.tensors[name]).astype(
                helper.tensor_dtype_to_np_dtype(want)
            )
            self.graph.initializer.append(numpy_helper.from_array(values, cast))
        else:
            self.nodes.append(helper.make_node("Cast", [name], [cast], to=want))

    def finish(self) -> None:
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for n in self.nodes for name in n.input}
        kept = [t for t in self.graph.initializer if t.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def between_products(graph: GraphProto) -> list[bool]:
    """The products, and what lies between two of them; not the norms."""
    products = [n for n in graph.node if n.op_type in PRODUCTS]
    after = comes_from(graph.node, {name for n in products for name in n.output})
    before = leads_to(graph.node, {name for n in products for name in n.input})
    rows = zip(graph.node, after, before, strict=True)
    return [n.op_type in PRODUCTS or (a and b and n.op_type not in _WHOLE) for n, a, b in rows]


def float_tensors(model: ModelProto) -> set[str]:
    graph = shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.output, *graph.value_info]
    known = {v.name for v in values if v.type.tensor_type.elem_type == FLOAT}
    return known | {t.name for t in graph.initializer if t.data_type == FLOAT}
