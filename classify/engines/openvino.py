"""OpenVINO on a CPU."""

import os

import numpy as np
import openvino

from classify.errors import EngineError
from classify.model_card import Model

# pairs of one request: few enough that a lone cell's draws fill all cores, and no slower than more
CHUNK = 8


class OpenVinoEngine:
    """A request of one fixed size for each core, on a thread of its own: twice as quick as one
    request on two threads.

    The last request is padded, so that a pair's errors never depend on its company.
    """

    name, version = "openvino", openvino.__version__.partition("-")[0]

    def __init__(self, model: Model, precision: str | None = None, batch: int | None = None):
        self.streams = len(os.sched_getaffinity(0))
        self.chunk = batch or CHUNK
        self.batch = self.chunk * self.streams
        self.core = openvino.Core()
        self.precision = precision or openvino_precision(self.core, model.card.precisions)
        self.model = model
        self.queues: dict[str, openvino.AsyncInferQueue] = {}

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("errors", images, noise, sigma)

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("denoised", images, noise, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("features", images, noise, sigma)

    def run(self, output: str, *inputs: np.ndarray) -> np.ndarray:
        queue, parts = self.queue(output), {}

        def keep(request: openvino.InferRequest, start: int) -> None:
            parts[start] = request.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for start in range(0, len(inputs[0]), self.chunk):
            queue.start_async(
                [padded_batch(x[start : start + self.chunk], self.chunk) for x in inputs], start
            )
        queue.wait_all()
        return np.concatenate([parts[start] for start in sorted(parts)])[: len(inputs[0])]

    def queue(self, output: str) -> openvino.AsyncInferQueue:
        if output not in self.queues:
            self.queues[output] = openvino.AsyncInferQueue(self.compile(output), self.streams)
        return self.queues[output]

    def compile(self, output: str) -> openvino.CompiledModel:
        """The graph cut to one output, so that judging does not compute the images."""
        try:
            graph = self.core.read_model(self.model.graph)
            px = self.model.card.image_px
            graph = openvino.Model([graph.output(output)], graph.get_parameters())
            graph.reshape({0: [self.chunk, 3, px, px], 1: [self.chunk, 3, px, px], 2: [self.chunk]})
            threads = {"NUM_STREAMS": self.streams, "INFERENCE_NUM_THREADS": self.streams}
            return self.core.compile_model(
                graph, "CPU", {"INFERENCE_PRECISION_HINT": self.precision, **threads}
            )
        except RuntimeError as error:
            hint = "is the model whole? `cytostream card`"
            raise EngineError(
                f"OpenVINO cannot compile {self.model.graph}: {error}", hint
            ) from error


def openvino_precision(core: openvino.Core, allowed: tuple[str, ...]) -> str:
    """The fastest arithmetic that the card allows and this processor has."""
    able = {c.lower() for c in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
    return next((p for p in allowed if p == "f32" or p in able), "f32")


def padded_batch(x: np.ndarray, n: int) -> np.ndarray:
    x = np.ascontiguousarray(x, dtype=np.float32)
    return x if len(x) == n else np.concatenate([x, np.repeat(x[-1:], n - len(x), axis=0)])
