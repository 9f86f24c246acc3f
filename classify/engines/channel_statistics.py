"""Statistics of the encoder's channels in one laboratory, laid on those of another (needs openvino;
folding them into a graph needs onnx).

What batch norm fixed in training are the means and variances of its own laboratories; another stain
or camera moves them (adaptive batch normalisation, Li et al. 2016, arXiv 1603.04779). Since the
export folds each norm into the convolution before it, the correction is folded there too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx import GraphProto, NodeProto, numpy_helper
from openvino import opset15 as ops

from classify.model_card import Model
from classify.pixels import turned

from .onnx_lowering import halve_weights, load_graph, unfold_weights
from .openvino import openvino_core

GAIN_RANGE = (0.5, 2.0)
LEAST_VARIANCE = 1e-6
PASS_IMAGES = 64


@dataclass(frozen=True, slots=True, eq=False)
class ChannelMoments:
    """Mean and mean square of C channels; of one mixture (C,), or a row a class (K, C)."""

    mean: np.ndarray
    square: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        result: np.ndarray = np.maximum(self.square - self.mean**2, LEAST_VARIANCE)
        return result

    def of(self, rows: np.ndarray) -> "ChannelMoments | None":
        """Those of a class (C,), of the images (n,) that are of it; None where there are none."""
        if not rows.any():
            return None
        return ChannelMoments(self.mean[rows].mean(axis=0), self.square[rows].mean(axis=0))

    def mixed(self, share: np.ndarray) -> "ChannelMoments":
        """Those of a mixture of the classes by their shares (K,), which sum to 1."""
        return ChannelMoments(share @ self.mean, share @ self.square)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelCorrection:
    """Gain and shift (C,) of the encoder's channels, one layer after the other."""

    gain: np.ndarray
    shift: np.ndarray


def normalised_layers(graph: GraphProto) -> list[NodeProto]:
    """The encoder's convolutions with a batch norm folded into them, in the order they run in."""
    return [n for n in graph.node if n.op_type == "Conv" and ".encoder." in n.input[1]]


def noisy_pairs(model: Model, images: np.ndarray, draws: int) -> list[np.ndarray]:
    """Images, noises and noise levels of the first `draws` draws of images (n, 3, px, px): (n *
    draws, ...), draw after draw.
    """
    n = len(images)
    seen = np.concatenate([turned(images, t) for t in model.turn[:draws]])
    noise = np.repeat(model.noise[:draws], n, axis=0)
    return [np.ascontiguousarray(seen), noise, np.repeat(model.sigma[:draws], n)]


def measure_channels(model: Model, images: np.ndarray, draws: int) -> ChannelMoments:
    """Mean and mean square (n, C) of every channel in each image (n, 3, px, px), over the first
    draws.
    """
    graph = openvino_core().read_model(model.graph)
    outputs = _named_outputs(graph, _layer_names(model.graph))
    means = [ops.reduce_mean(z, np.array([2, 3]), keep_dims=False) for z in outputs]
    squares = [
        ops.reduce_mean(ops.multiply(z, z), np.array([2, 3]), keep_dims=False) for z in outputs
    ]
    compiled = _compiled(graph, [ops.concat(means, 1), ops.concat(squares, 1)])
    rows: list[list[np.ndarray]] = []
    for part in np.array_split(images, max(1, len(images) // PASS_IMAGES)):
        found = compiled(noisy_pairs(model, part, draws))
        rows.append([found[i].reshape(draws, len(part), -1).mean(axis=0) for i in (0, 1)])
    mean, square = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return ChannelMoments(mean, square)


def find_correction(
    model: Model, images: np.ndarray, draws: int, reference: ChannelMoments, share: float
) -> ChannelCorrection:
    """What carries the channels' statistics of these images (n, 3, px, px) to `reference` (C,).

    A layer is measured with the layers before it corrected. `share` of the statistics taken off are
    these images', the rest the reference's: 0 changes nothing, 1 trusts the images alone.
    """
    graph = openvino_core().read_model(model.graph)
    gains = []
    shifts = []
    start = 0
    for z in _named_outputs(graph, _layer_names(model.graph)):
        users = z.get_target_inputs()
        count = z.get_partial_shape()[1].get_length()
        wanted = ChannelMoments(
            *(v[start : start + count] for v in (reference.mean, reference.square))
        )
        start += count
        mean, deviation = (
            ops.constant(v.reshape(1, -1, 1, 1).astype(np.float32))
            for v in (wanted.mean, np.sqrt(wanted.variance))
        )
        here = ops.reduce_mean(z, np.array([0, 2, 3]), keep_dims=True)
        spread = (
            ops.reduce_mean(ops.multiply(z, z), np.array([0, 2, 3]), keep_dims=True) - here * here
        )
        taken = mean * _number(1 - share) + here * _number(share)
        variance = deviation * deviation * _number(1 - share) + spread * _number(share)
        floor = ops.maximum(variance, _number(LEAST_VARIANCE))
        gain = ops.clamp(deviation / ops.sqrt(floor), *GAIN_RANGE)
        shift = mean - taken * gain
        corrected = ops.multiply(z, gain) + shift
        for user in users:
            user.replace_source_output(corrected.output(0))
        gains.append(gain)
        shifts.append(shift)
    compiled = _compiled(graph, [ops.concat(gains, 1), ops.concat(shifts, 1)])
    found = compiled(noisy_pairs(model, images, draws))
    return ChannelCorrection(found[0].ravel(), found[1].ravel())


def fold_correction(source: Path, out: Path, correction: ChannelCorrection) -> None:
    """Write to `out` the graph of `source` with the correction in its convolutions."""
    proto = load_graph(source)
    graph = proto.graph
    unfold_weights(graph)
    tensors = {t.name: t for t in graph.initializer}
    start = 0
    for node in normalised_layers(graph):
        weight, bias = (numpy_helper.to_array(tensors[name]) for name in node.input[1:3])
        rows = slice(start, start + len(bias))
        start += len(bias)
        gain = correction.gain[rows]
        scaled = weight * gain[:, None, None, None]
        for tensor, values in (
            (tensors[node.input[1]], scaled),
            (tensors[node.input[2]], bias * gain + correction.shift[rows]),
        ):
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    folded = halve_weights(proto)
    onnx.checker.check_model(folded)
    out.write_bytes(folded.SerializeToString())


def _layer_names(path: Path) -> list[str]:
    return [node.output[0] for node in normalised_layers(load_graph(path).graph)]


def _named_outputs(graph: openvino.Model, names: Sequence[str]) -> list[openvino.Output]:
    known = {
        name: out for op in graph.get_ops() for out in op.outputs() for name in out.get_names()
    }
    return [known[name] for name in names]


def _number(value: float) -> openvino.Node:
    return ops.constant(np.float32(value))


def _compiled(graph: openvino.Model, results: list[openvino.Node]) -> openvino.CompiledModel:
    """The graph cut to these results, in fp32."""
    cut = openvino.Model(results, graph.get_parameters())
    return openvino_core().compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
