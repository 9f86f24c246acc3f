"""The reference: the released weights in the training side's own network, fp32 on the CPU (needs
torch and onnx).
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import onnx
import torch
from onnx import GraphProto, numpy_helper
from torch import Tensor, nn

from classify.encoder import before
from classify.errors import EngineError
from classify.model_card import Model
from classify.network import Denoiser, NetworkConfig

from .onnx_lowering import load_graph, unfold_weights

_BATCH = 16


class TorchEngine:
    """Batches of one fixed size, the last one padded, as every engine has them."""

    name = "torch"
    version = torch.__version__
    precision = "f32"

    def __init__(self, model: Model, precision: str | None = None, batch: int = _BATCH):
        if precision not in (None, "f32"):
            raise EngineError(
                f"the torch engine has no {precision}",
                "it is the fp32 reference; openvino has bf16",
            )
        self.batch = batch
        self.net = released(model).eval()

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.errors_and_features(images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        width = len(self.net.guide.weight)

        def both(*given: Tensor) -> Tensor:
            return torch.cat(self.net.errors_and_features(*given), dim=1)

        found = self.run(both, images, noise, sigma)
        return found[:, :width], found[:, width:]

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        noisy = images + sigma[:, None, None, None] * noise
        return self.run(self.net.denoise, noisy, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        noisy = images + sigma[:, None, None, None] * noise
        return self.run(self._pooled, noisy, sigma)

    def _pooled(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        return self.net.patches(noisy, sigma)[1]

    @torch.inference_mode()
    def run(self, function: Callable[..., Tensor], *inputs: np.ndarray) -> np.ndarray:
        n = len(inputs[0])
        order = np.minimum(np.arange(-(-n // self.batch) * self.batch), n - 1).reshape(
            -1, self.batch
        )
        parts = [
            function(*(torch.from_numpy(np.ascontiguousarray(x[rows], np.float32)) for x in inputs))
            for rows in order
        ]
        return torch.cat(parts)[:n].numpy()


def released(model: Model) -> Denoiser:
    """The network with the weights that the model's graph holds, as the engine rounds them.

    Raises:
        ModelError: the file is no graph.
        EngineError: the graph is not that of this network.
    """
    graph = load_graph(model.graph).graph
    unfold_weights(graph)
    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    net = Denoiser(config_of(model)).eval()
    own = {name: tensors[name] for name in net.state_dict() if name in tensors} | norms_of(
        net, graph, tensors
    )
    own |= folded_norms_of(net, graph, tensors)
    own["gain"] = (
        net.gain.data if model.gain is None else torch.from_numpy(model.gain)
    )  # it is in the tables, not in the graph
    own |= _maps_of(net, model)
    try:
        net.load_state_dict(own)
    except RuntimeError as error:
        raise EngineError(
            f"{model.graph}: not this network's graph: {error}", "use --engine openvino"
        ) from error
    return net


def _maps_of(net: Denoiser, model: Model) -> dict[str, Tensor]:
    """Linear maps of the features, from the tables; where those have none, as the network begins
    with them.
    """
    own: dict[str, Tensor] = {}
    for name, table in (("guide", model.guide), ("attributes", model.attributes)):
        layer = getattr(net, name)
        if table is not None:
            own[f"{name}.weight"] = torch.from_numpy(table[:-1].T.copy())
            own[f"{name}.bias"] = torch.from_numpy(table[-1].copy())
        elif layer is not None:
            own |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    return own


def config_of(model: Model) -> NetworkConfig:
    known = {f.name for f in fields(NetworkConfig)}
    shape: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in model.card.training.get("network", {}).items()
        if k in known
    }
    shape |= {"classes": len(model.card.classes), "image_px": model.card.image_px}
    return NetworkConfig(**shape)


def norms_of(net: Denoiser, graph: GraphProto, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gain and shift of the group norms, which the export leaves nameless: the graph has them in
    the order they run in.
    """
    after = {name: n for n in graph.node for name in n.input}
    own: dict[str, Tensor] = {}
    for name, node in zip(
        running_order(net),
        (n for n in graph.node if n.op_type == "InstanceNormalization"),
        strict=True,
    ):
        reshape = after[node.output[0]]
        gain = after[reshape.output[0]]
        shift = after[gain.output[0]]
        own |= {f"{name}.weight": flat(tensors, gain), f"{name}.bias": flat(tensors, shift)}
    return own


def folded_norms_of(
    net: Denoiser, graph: GraphProto, tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """What is left of batch norms that the export has folded into the convolutions before them:
    their shift, and no gain.
    """
    shift_of = {
        node.input[1]: tensors[node.input[2]]
        for node in graph.node
        if node.op_type == "Conv" and len(node.input) > 2
    }
    own: dict[str, Tensor] = {}
    for name, norm in net.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            shift = shift_of[f"{before(name)}.weight"]
            own |= {
                f"{name}.weight": torch.ones_like(shift),
                f"{name}.bias": shift,
                f"{name}.running_mean": torch.zeros_like(shift),
                f"{name}.running_var": torch.ones_like(shift) - norm.eps,
            }
            if norm.num_batches_tracked is not None:
                own[f"{name}.num_batches_tracked"] = norm.num_batches_tracked
    return own


def flat(tensors: dict[str, Tensor], node: onnx.NodeProto) -> Tensor:
    return next(tensors[name] for name in node.input if name in tensors).flatten()


def running_order(net: Denoiser) -> list[str]:
    """Names of the group norms in the order they run in."""
    seen: list[str] = []
    norms = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.GroupNorm)]
    hooks = [
        m.register_forward_hook(lambda module, given, made, name=name: seen.append(name))
        for name, m in norms
    ]
    px = net.cfg.image_px
    with torch.inference_mode():
        net.patches(torch.zeros(1, 3, px, px), torch.ones(1))
    for hook in hooks:
        hook.remove()
    return seen


def open_torch(
    model: Model, name: str, precision: str | None, tell: Callable[[str], None]
) -> TorchEngine:
    """The reference in PyTorch.

    Raises:
        EngineError: the model has no weights for it.
    """
    return TorchEngine(model, precision)
