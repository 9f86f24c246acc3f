"""OpenVINO on a CPU."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import openvino

from classify.errors import EngineError
from classify.model_card import Model

from .engine import JUDGED, SEPARATOR

# pairs of one request: few enough that a lone cell's draws fill all cores, and no slower than more
CHUNK = 8
CACHE = Path(".cache", "cytostream", "openvino")  # in the user's home: compiled graphs
PRIVATE = 0o700
KEPT_GRAPHS = 8


@cache
def openvino_core() -> openvino.Core:
    """The one core of this process, which lives as long as the process.

    A core sets the stack of signals (sigaltstack) of the thread that makes it and gives back the
    earlier one when it ends; of two that end in the order in which they were made, the thread is
    left with a stack that is no longer there, and the next signal, as Ctrl-C, is a segmentation
    fault (seen with OpenVINO 2026 and CPython 3.11).
    """
    return openvino.Core()


class OpenVinoEngine:
    """A request of one fixed size for each core, on a thread of its own: twice as quick as one
    request on two threads.

    The last request is padded, so that a pair's errors never depend on its company.
    """

    name = "openvino"
    version = openvino.__version__.partition("-")[0]

    def __init__(self, model: Model, precision: str | None = None, batch: int | None = None):
        self.streams = len(os.sched_getaffinity(0))
        self.chunk = batch or CHUNK
        self.batch = self.chunk * self.streams
        self.core = openvino_core()
        self.precision = precision or openvino_precision(self.core, model.card.precisions)
        self.model = model
        self.cache = private_cache(Path.home() / CACHE)
        self.queues: dict[str, openvino.AsyncInferQueue] = {}

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run(JUDGED, images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        errors, features = self.run(JUDGED, images, noise, sigma)
        return errors, features

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("denoised", images, noise, sigma)[0]

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("features", images, noise, sigma)[0]

    def run(self, output: str, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs that `output` names, in its order."""
        queue = self.queue(output)
        parts: dict[int, list[np.ndarray]] = {}

        def keep(request: openvino.InferRequest, start: int) -> None:
            parts[start] = [tensor.data.copy() for tensor in request.output_tensors]

        queue.set_callback(keep)
        for start in range(0, len(inputs[0]), self.chunk):
            queue.start_async(
                [padded_batch(x[start : start + self.chunk], self.chunk) for x in inputs], start
            )
        queue.wait_all()
        columns = zip(*(parts[start] for start in sorted(parts)), strict=True)
        return [np.concatenate(column)[: len(inputs[0])] for column in columns]

    def queue(self, output: str) -> openvino.AsyncInferQueue:
        if output not in self.queues:
            self.queues[output] = openvino.AsyncInferQueue(self.compile(output), self.streams)
        return self.queues[output]

    def compile_cached(
        self, graph: openvino.Model, options: dict[str, str | int]
    ) -> openvino.CompiledModel:
        """The compiled graph of an earlier process where there is one and it can be read."""
        if self.cache:
            try:
                return self.core.compile_model(
                    graph, "CPU", {**options, "CACHE_DIR": str(self.cache)}
                )
            except RuntimeError:  # a broken or full cache; without it a fault of the graph shows
                self.cache = None
        return self.core.compile_model(graph, "CPU", options)

    def compile(self, output: str) -> openvino.CompiledModel:
        """The graph cut to some outputs, so that judging does not compute the images."""
        try:
            graph = self.core.read_model(self.model.graph)
            px = self.model.card.image_px
            graph = openvino.Model(
                [graph.output(name) for name in output.split(SEPARATOR)], graph.get_parameters()
            )
            graph.reshape({0: [self.chunk, 3, px, px], 1: [self.chunk, 3, px, px], 2: [self.chunk]})
            threads = {"NUM_STREAMS": self.streams, "INFERENCE_NUM_THREADS": self.streams}
            options: dict[str, str | int] = {
                "INFERENCE_PRECISION_HINT": self.precision,
                **threads,
            }
            return self.compile_cached(graph, options)
        except RuntimeError as error:
            hint = "is the model whole? `cytostream card`"
            raise EngineError(
                f"OpenVINO cannot compile {self.model.graph}: {error}", hint
            ) from error


def private_cache(folder: Path) -> Path | None:
    """The folder, made where there is none, with the newest graphs of it; None where it cannot be
    made, or others may write to it.
    """
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        state = folder.stat()
        graphs = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime)
        for old in graphs[:-KEPT_GRAPHS]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    private = state.st_uid == os.getuid() and not state.st_mode & 0o022
    return folder if private else None


def open_openvino(
    model: Model, name: str, precision: str | None, tell: Callable[[str], None]
) -> OpenVinoEngine:
    """The engine on all cores of this process."""
    return OpenVinoEngine(model, precision)


def openvino_precision(core: openvino.Core, allowed: tuple[str, ...]) -> str:
    """The fastest arithmetic that the card allows and this processor has."""
    able = {c.lower() for c in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")}
    return next((p for p in allowed if p == "f32" or p in able), "f32")


def padded_batch(x: np.ndarray, n: int) -> np.ndarray:
    x = np.ascontiguousarray(x, dtype=np.float32)
    return x if len(x) == n else np.concatenate([x, np.repeat(x[-1:], n - len(x), axis=0)])
