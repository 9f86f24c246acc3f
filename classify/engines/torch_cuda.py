"""The torch engine on an NVIDIA GPU: the released weights in half precision, each pass recorded as
a CUDA graph. Needs torch with CUDA and onnx; on a CPU the same passes run without a recording.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from classify.errors import EngineError
from classify.model_card import Model

from .engine import JUDGED
from .torch import released

_BATCH = 256
DRAWN = "draws"  # the pass that judges, of draws by their number
WARM_PASSES = 3  # before a recording: libraries choose their kernels then
DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
HALF_CAPABILITY = {"bf16": (8, 0), "f16": (7, 0)}  # compute capability
Pass = Callable[..., Tensor]


class TorchCudaEngine:
    """Batches of one fixed size, the last one padded, as every engine has them.

    Crops travel as 8-bit levels where the model sees a crop's own pixels, and the noise of the
    draws lies on the device: 12 KB a pair instead of 96.
    """

    name, version = "torch-cuda", torch.__version__

    def __init__(
        self,
        model: Model,
        precision: str | None = None,
        batch: int = _BATCH,
        device: torch.device | str = "cuda",
    ):
        self.device = torch.device(device)
        self.precision = precision or torch_precision(model, self.device)
        if self.precision not in DTYPES:
            raise EngineError(f"no precision {precision!r}", f"one of {', '.join(DTYPES)}")
        self.batch = batch
        self.model = model
        self.net = released(model).eval().to(self.device)
        # torch's own types leave this argument out
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.noise = torch.from_numpy(model.noise).to(self.device)
        self.sigma = torch.from_numpy(model.sigma).to(self.device)
        self.takes_levels = model.card.window_px == model.card.image_px
        self.passes: dict[str, PlainPass] = {}

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.errors_and_features(images, noise, sigma)[0]

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.parted(self.run(JUDGED, self.judged, images, noise, sigma))

    def draw_errors_and_features(
        self, images: np.ndarray, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `errors_and_features`, of the model's own draws, by their numbers (n,)."""
        given = to_levels(images) if self.takes_levels else images
        return self.parted(self.run(DRAWN, self.judged_draws, given, draws.astype(np.int64)))

    def parted(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Errors (n, K) and features (n, F) that one pass gives side by side."""
        classes = len(self.model.card.classes)
        return found[:, :classes], found[:, classes:]

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("denoised", self.denoised_of, images, noise, sigma)

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return self.run("features", self.features_of, images, noise, sigma)

    def judged(self, images: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        errors, features = self.net.errors_and_features(images, noise, sigma)
        return torch.cat([errors.float(), features.float()], dim=1)

    def judged_draws(self, images: Tensor, draws: Tensor) -> Tensor:
        clean = images.float() / 127.5 - 1.0 if self.takes_levels else images
        return self.judged(clean, self.noise[draws], self.sigma[draws])

    def denoised_of(self, images: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return self.net.denoise(images + sigma[:, None, None, None] * noise, sigma)

    def features_of(self, images: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return self.net.patches(images + sigma[:, None, None, None] * noise, sigma)[1].float()

    def run(self, name: str, function: Pass, *inputs: np.ndarray) -> np.ndarray:
        try:
            if name not in self.passes:
                self.passes[name] = self.recorded(function, inputs)
            return np.concatenate(list(self.passes[name].each(inputs)))[: len(inputs[0])]
        except RuntimeError as error:  # torch's own errors, CUDA's among them
            self.passes.clear()
            raise EngineError(
                f"torch on {self.device}: {str(error).splitlines()[0]}",
                "look at `nvidia-smi`; a run goes on with --engine openvino",
            ) from error

    def recorded(self, function: Pass, inputs: tuple[np.ndarray, ...]) -> "PlainPass":
        kind = self.device.type
        low = self.precision != "f32"

        @torch.inference_mode()
        def step(*given: Tensor) -> Tensor:
            with (
                exact_convolutions(),
                torch.autocast(kind, DTYPES[self.precision], enabled=low, cache_enabled=False),
            ):
                return function(*given).float()

        examples = [torch.from_numpy(padded_rows(x[:1], self.batch)) for x in inputs]
        recorder = RecordedPass if kind == "cuda" else PlainPass
        return recorder(step, examples, self.device)


def exact_convolutions() -> AbstractContextManager[None]:
    """Convolutions in the arithmetic asked for: cuDNN's own default shortens f32 to 10 bits."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return flags


class PlainPass:
    """A pass that is run anew each time."""

    def __init__(self, step: Pass, examples: list[Tensor], device: torch.device):
        self.step = step
        self.batch = len(examples[0])
        self.device = device

    def each(self, inputs: tuple[np.ndarray, ...]) -> Iterator[np.ndarray]:
        """The output of each batch of the inputs, the last one padded."""
        for start in range(0, len(inputs[0]), self.batch):
            rows = [padded_rows(x[start : start + self.batch], self.batch) for x in inputs]
            yield self.step(*(torch.from_numpy(x).to(self.device) for x in rows)).cpu().numpy()


class RecordedPass(PlainPass):
    """A pass of fixed shapes, recorded once and replayed. Two sets of buffers in page-locked
    memory take turns, so that the next batch is copied while the device computes.
    """

    def __init__(self, step: Pass, examples: list[Tensor], device: torch.device):
        super().__init__(step, examples, device)
        self.stream = torch.cuda.Stream(device)
        self.given = [x.to(device) for x in examples]
        self.host = [[x.pin_memory() for x in examples] for _ in range(2)]
        with torch.cuda.device(device):
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                for _ in range(WARM_PASSES):
                    step(*self.given)
            self.stream.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.output = step(*self.given)
        self.answers = [torch.empty_like(self.output, device="cpu").pin_memory() for _ in range(2)]
        self.ended = [torch.cuda.Event(), torch.cuda.Event()]

    def each(self, inputs: tuple[np.ndarray, ...]) -> Iterator[np.ndarray]:
        with torch.cuda.device(self.device):  # a thread begins on the first one
            begun: list[int] = []
            for number, start in enumerate(range(0, len(inputs[0]), self.batch)):
                turn = number % 2
                if len(begun) == 2:
                    yield self.answer(begun.pop(0))
                self.begin(turn, [x[start : start + self.batch] for x in inputs])
                begun.append(turn)
            for turn in begun:
                yield self.answer(turn)

    def begin(self, turn: int, rows: list[np.ndarray]) -> None:
        for host, device, values in zip(self.host[turn], self.given, rows, strict=True):
            array = host.numpy()
            array[: len(values)] = values
            array[len(values) :] = values[-1]
            with torch.cuda.stream(self.stream):
                device.copy_(host, non_blocking=True)
        with torch.cuda.stream(self.stream):
            self.graph.replay()
            self.answers[turn].copy_(self.output, non_blocking=True)
            self.ended[turn].record()

    def answer(self, turn: int) -> np.ndarray:
        self.ended[turn].synchronize()
        copied: np.ndarray = self.answers[turn].numpy().copy()
        return copied


def padded_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """The rows, of a type that the pass takes, and the last one again up to `count`."""
    kept = rows if rows.dtype in (np.uint8, np.int64) else rows.astype(np.float32)
    last = np.broadcast_to(kept[-1:], (count - len(kept), *kept.shape[1:]))
    return np.ascontiguousarray(np.concatenate([kept, last]))


def to_levels(images: np.ndarray) -> np.ndarray:
    """8-bit levels (n, 3, px, px) of a crop's own pixels in [-1, 1]."""
    return np.rint((images + 1.0) * 127.5).astype(np.uint8)


def open_on_gpu(model: Model, precision: str | None = None) -> TorchCudaEngine:
    """The engine on the first GPU that CUDA shows, once it has judged one pair.

    Raises:
        EngineError: torch has no CUDA, or the pass fails there.
    """
    if not torch.cuda.is_available():
        raise EngineError("this torch has no CUDA", "install torch from its CUDA index")
    engine = TorchCudaEngine(model, precision)
    engine.draw_errors_and_features(np.zeros_like(model.noise[:1]), np.zeros(1, int))
    return engine


def torch_precision(model: Model, device: torch.device) -> str:
    """The fastest arithmetic that the card allows and the device has in its matrix units."""
    if device.type != "cuda":
        return "f32"
    able = torch.cuda.get_device_capability(device)
    return next(
        (p for p in model.card.precisions if p in HALF_CAPABILITY and able >= HALF_CAPABILITY[p]),
        "f32",
    )
