"""From a training run to a model folder: ONNX graph with half-precision weights (needs torch and
onnx).
"""

from pathlib import Path

import onnx
import torch

from classify.engines.onnx_lowering import halve_weights
from classify.errors import ModelError
from classify.model_card import GRAPH
from classify.network import Denoiser


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
    if program is None:
        raise ModelError("the network has no ONNX graph", "use the versions of the train extra")
    graph = halve_weights(program.model_proto)
    onnx.checker.check_model(graph)
    path = folder / GRAPH
    path.write_bytes(graph.SerializeToString())
    return path
