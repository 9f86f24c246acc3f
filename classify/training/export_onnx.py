"""From a training run to a model folder: ONNX graph with half-precision weights (needs torch and
onnx).
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from classify.model_card import GRAPH
from classify.network import Denoiser

HALF_FROM = 1024  # tensors of fewer numbers stay whole: they cost nothing


def export_graph(model: Denoiser, folder: Path) -> Path:
    """Write `folder/denoiser.onnx`: inputs image, noise (n, 3, px, px) and sigma (n,); outputs
    errors, denoised, features.
    """
    folder.mkdir(parents=True, exist_ok=True)
    px = model.cfg.image_px
    example = (torch.zeros(2, 3, px, px), torch.zeros(2, 3, px, px), torch.ones(2))
    n = torch.export.Dim("n", min=1, max=4096)
    program = torch.onnx.export(
        model.eval(),
        example,
        dynamo=True,
        dynamic_shapes=({0: n}, {0: n}, {0: n}),
        verbose=False,
        input_names=["image", "noise", "sigma"],
        output_names=["errors", "denoised", "features"],
    )
    graph = halve_weights(program.model_proto)
    onnx.checker.check_model(graph)
    path = folder / GRAPH
    path.write_bytes(graph.SerializeToString())
    return path


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
