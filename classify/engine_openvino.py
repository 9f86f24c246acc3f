"""OpenVINO on a CPU."""

import numpy as np
import openvino

from .card import Model
from .errors import EngineError

BATCH = 16


class OpenVinoEngine:
    """Batches of one fixed size, the last one padded, so that a pair's errors never depend on its company."""

    name, version = "openvino", openvino.__version__.partition("-")[0]

    def __init__(self, model: Model, precision: str | None = None, batch: int = BATCH):
        self.batch = batch
        self.core = openvino.Core()
        self.precision = precision or best_precision(self.core, model.card.precisions)
        self.model = model
        self.compiled: dict[str, openvino.CompiledModel] = {}

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("errors", images, noise, sigma)

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("denoised", images, noise, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("features", images, noise, sigma)

    def run(self, output: str, *inputs: np.ndarray) -> np.ndarray:
        request = self.request(output)
        parts = []
        for start in range(0, len(inputs[0]), self.batch):
            part = [padded(x[start : start + self.batch], self.batch) for x in inputs]
            parts.append(request.infer(part)[0].copy())
        return np.concatenate(parts)[: len(inputs[0])]

    def request(self, output: str) -> openvino.InferRequest:
        if output not in self.compiled:
            self.compiled[output] = self.compile(output).create_infer_request()
        return self.compiled[output]

    def compile(self, output: str) -> openvino.CompiledModel:
        """The graph cut to one output, so that judging does not compute the images."""
        try:
            graph = self.core.read_model(self.model.graph)
            px = self.model.card.image_px
            graph = openvino.Model([graph.output(output)], graph.get_parameters())
            graph.reshape({0: [self.batch, 3, px, px], 1: [self.batch, 3, px, px], 2: [self.batch]})
            hints = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY"}
            return self.core.compile_model(graph, "CPU", hints)
        except RuntimeError as error:
            hint = "is the model whole? `cytostream card`"
            raise EngineError(f"OpenVINO cannot compile {self.model.graph}: {error}", hint) from error


def best_precision(core: openvino.Core, allowed: tuple[str, ...]) -> str:
    """The fastest arithmetic that the card allows and this processor has."""
    able = {c.lower() for c in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
    return next((p for p in allowed if p == "f32" or p in able), "f32")


def padded(x: np.ndarray, n: int) -> np.ndarray:
    x = np.ascontiguousarray(x, dtype=np.float32)
    return x if len(x) == n else np.concatenate([x, np.repeat(x[-1:], n - len(x), axis=0)])
