"""From a training run to a model folder: ONNX graph with half-precision weights (needs torch and onnx)."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from .card import GRAPH
from .network import SIGMA_DATA, Denoiser

HALF_FROM = 1024  # tensors of fewer numbers stay whole: they cost nothing


class Served(nn.Module):
    """What the engine runs: errors and denoised images of every class, in one pass.

    Errors are taken between patches, before they are laid out as images: laying out an image a class costs a seventh of a pass.
    """

    def __init__(self, model: Denoiser):
        super().__init__()
        self.model, self.patch_px = model, model.cfg.patch_px
        mask = F.pixel_unshuffle(model.mask[None], self.patch_px).repeat(3, 1, 1)
        self.register_buffer("patch_mask", mask, persistent=False)

    def forward(self, image: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = sigma[:, None, None, None]
        x = image + s * noise
        total = s**2 + SIGMA_DATA**2
        c_skip, c_out = SIGMA_DATA**2 / total, s * SIGMA_DATA / total.sqrt()
        hidden, features = self.model.trunk(total.rsqrt() * x, sigma.log() / 4)
        patches = self.model.heads(hidden)
        # The error of F against its target is that of the denoised image over c_out.
        target = F.pixel_unshuffle((image - c_skip * x) / c_out, self.patch_px)
        delta = patches.unflatten(1, (self.model.cfg.classes, -1)) - target[:, None]
        errors = (delta**2 * self.patch_mask).mean(dim=(2, 3, 4))
        raw = F.pixel_shuffle(patches, self.patch_px).unflatten(1, (self.model.cfg.classes, 3))
        return errors, (c_skip * x)[:, None] + c_out[:, None] * raw, features


def export_graph(model: Denoiser, folder: Path) -> Path:
    """Write `folder/denoiser.onnx`: inputs image, noise (n, 3, px, px) and sigma (n,); outputs errors, denoised, features."""
    folder.mkdir(parents=True, exist_ok=True)
    px = model.cfg.image_px
    example = (torch.zeros(2, 3, px, px), torch.zeros(2, 3, px, px), torch.ones(2))
    n = torch.export.Dim("n", min=1, max=4096)
    program = torch.onnx.export(
        Served(model).eval(), example, dynamo=True, dynamic_shapes=({0: n}, {0: n}, {0: n}), verbose=False,
        input_names=["image", "noise", "sigma"], output_names=["errors", "denoised", "features"],
    )
    graph = halve_weights(program.model_proto)
    onnx.checker.check_model(graph)
    path = folder / GRAPH
    path.write_bytes(graph.SerializeToString())
    return path


def halve_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 weights as float16, with a cast back: half the file, the same arithmetic."""
    keep, casts = [], []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < HALF_FROM:
            keep.append(tensor)
            continue
        keep.append(numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half"))
        casts.append(helper.make_node("Cast", [tensor.name + "_half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = casts + list(proto.graph.node)
    for part in (proto, proto.graph, *nodes, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # the exporter's traces name this machine's folders
    del proto.graph.initializer[:], proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.initializer.extend(keep)
    proto.graph.node.extend(nodes)
    return proto
