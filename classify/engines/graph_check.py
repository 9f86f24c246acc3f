"""Whether a graph of unknown origin may be given to an engine (needs onnx)."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, NodeProto, TensorProto
from onnx.external_data_helper import uses_external_data

from classify.errors import ModelError

INPUTS = ("image", "noise", "sigma")
OUTPUTS = ("errors", "denoised", "features")
_DOMAINS = ("", "ai.onnx")


def check_graph(path: Path) -> None:
    """A graph that holds all its numbers itself, of standard operators, with the inputs and outputs
    of a denoiser.

    Raises:
        ModelError: it is not so.
    """
    try:
        graph = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise ModelError(f"{path.name}: no graph: {error}", "export the model again") from error
    nodes = [*_nodes_of(graph.graph), *(node for one in graph.functions for node in one.node)]
    foreign = sorted({node.domain for node in nodes if node.domain not in _DOMAINS})
    if foreign or graph.functions:
        raise ModelError(
            f"{path.name}: operators of its own ({', '.join(foreign) or 'functions'})",
            "export the model with standard operators",
        )
    if any(uses_external_data(tensor) for tensor in _tensors_of(graph.graph)):
        raise ModelError(
            f"{path.name}: its numbers lie in another file", "export the model as one file"
        )
    inputs = tuple(one.name for one in graph.graph.input)
    outputs = {one.name for one in graph.graph.output}
    if inputs != INPUTS or not set(OUTPUTS) <= outputs:
        raise ModelError(
            f"{path.name}: inputs {', '.join(inputs)} are not {', '.join(INPUTS)}, or an output of "
            f"{', '.join(OUTPUTS)} is absent",
            "export the model with `cytostream export`",
        )


def _graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def _nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of those within it."""
    for node in graph.node:
        yield node
        for inner in _graphs_of(node):
            yield from _nodes_of(inner)


def _tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    """The tensors of a graph and of those within it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
        for inner in _graphs_of(node):
            yield from _tensors_of(inner)
