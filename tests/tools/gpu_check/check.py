"""What is checked on a GPU, step by step: a step that fails says why, and the others go on. All
goes into one JSON file.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter

import numpy as np
import torch

from classify import Model, compile_ahead, judge, load_model, open_engine, to_input
from classify.engines import draw_errors_and_features
from classify.engines.cuda import Device, FixedPass, open_device
from classify.engines.engine import JUDGED
from classify.engines.tensorrt import shapes_of
from classify.engines.torch_cuda import DRAWN, PlainPass, TorchCudaEngine, exact_convolutions
from classify.model_card import SHIPPED, read_card, read_sheet
from tests.contracts.emulated_gpu import EmulatedCuda

BARRIER_S = 60.0
FAILED_LINES = 12
together: dict[str, Barrier] = {}
TOLERANCE = {"f32": 1e-4, "f16": 2e-2, "bf16": 5e-2}


@dataclass(frozen=True, slots=True)
class Plan:
    """`batches` to time, on `cells` cells, about `seconds` each; a rehearsal runs on the CPU."""

    device: int = 0
    rehearsal: bool = False
    batches: tuple[int, ...] = (64, 256, 1024, 4096)
    cells: int = 4096
    seconds: float = 6.0
    judges: int = 8

    @property
    def place(self) -> torch.device:
        return torch.device("cpu" if self.rehearsal else f"cuda:{self.device}")


def check(plan: Plan, out: Path, model: Model | None = None) -> dict:
    """All steps; returns what is in the file."""
    model = model or load_model()
    steps: dict[str, Callable[[], dict]] = {
        "machine": lambda: machine(plan),
        "compile ahead": lambda: compiled(plan, model),
        "speed": lambda: speeds(plan, model),
        "several judges": lambda: several_judges(plan, model),
        "contract": lambda: contract(plan),
        "capture and replay": lambda: replayed(plan, model),  # last: a fault here ends the process
    }
    found: dict = {"plan": asdict(plan)}
    for name, step in steps.items():
        start = perf_counter()
        try:
            result = {"ok": True, **step()}
        except Exception as error:  # a check says what fails, whatever it is
            result = {"ok": False, "why": f"{type(error).__name__}: {error}".splitlines()[0]}
        found[name] = result | {"took_s": round(perf_counter() - start, 2)}
        print(f"{name}: {json.dumps(found[name])}", flush=True)
        out.write_text(json.dumps(found, indent=1) + "\n")
    return found


def machine(plan: Plan) -> dict:
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda}
    if plan.rehearsal:
        return {"name": "emulated", **versions}
    facts = torch.cuda.get_device_properties(plan.place)
    capability = f"sm_{facts.major}{facts.minor}"
    return {"name": facts.name, "capability": capability, "bytes": facts.total_memory, **versions}


def compiled(plan: Plan, model: Model) -> dict:
    """A plan of TensorRT for RTX, built for this card, or for a common one where this has none."""
    target = "sm_89" if plan.rehearsal else open_device(number=plan.device).target
    with TemporaryDirectory() as folder:
        made = compile_ahead(model, "tensorrt-rtx", target, Path(folder))
    return {"target": target, "megabytes": made.megabytes, "seconds": made.seconds}


class TorchContext:
    """A pass as TensorRT gives it, computed by torch on the stream that `FixedPass` made: the
    proof of its capture and replay on cards for which there is no TensorRT.
    """

    def __init__(self, net: torch.nn.Module, shapes: dict[str, tuple[int, ...]], plan: Plan):
        self.net = net
        self.shapes = shapes
        self.plan = plan
        self.tensors: dict[str, torch.Tensor] = {}
        # a recording replays into the memory that it was made with: torch must not reuse it
        self.pool = None if plan.rehearsal else torch.cuda.MemPool()

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.tensors[name] = memory_at(address, self.shapes[name], self.plan.place)
        return True

    def set_device_memory(self, address: int, size: int) -> None:
        raise AssertionError("none was asked for")

    def is_stream_capturable(self, stream: int) -> bool:
        return True

    @torch.inference_mode()
    def execute_async_v3(self, stream: int) -> bool:
        if self.plan.rehearsal:
            self.cuda.do(self.compute)
        else:
            external = torch.cuda.ExternalStream(stream, device=self.plan.place)
            with torch.cuda.stream(external), torch.cuda.use_mem_pool(self.pool, self.plan.place):
                self.compute()
        return True

    @torch.inference_mode()
    def compute(self) -> None:
        image, noise, sigma = (self.tensors[name] for name in ("image", "noise", "sigma"))
        with exact_convolutions():
            found = self.net.errors_and_features(image, noise, sigma)
        for name, values in zip(("errors", "features"), found, strict=True):
            self.tensors[name].copy_(values)


def memory_at(address: int, shape: tuple[int, ...], place: torch.device) -> torch.Tensor:
    """A tensor over memory that is there already."""
    facts = {"data": (address, False), "shape": shape, "typestr": "<f4", "version": 3}
    kind = "__cuda_array_interface__" if place.type == "cuda" else "__array_interface__"
    view = type("View", (), {kind: facts})()
    return torch.as_tensor(np.asarray(view) if place.type == "cpu" else view, device=place)


def replayed(plan: Plan, model: Model) -> dict:
    """`FixedPass` of cuda.py records a pass of torch and replays it, on two sets of inputs."""
    batch = plan.batches[0]
    engine = TorchCudaEngine(model, "f32", batch, plan.place)
    device = Device(EmulatedCuda(), "emulated", "sm_89", number=0, driver=0)
    if not plan.rehearsal:
        device = open_device(number=plan.device)
    inputs, outputs = shapes_of(model, batch, JUDGED)
    context = TorchContext(engine.net, {**inputs, **outputs}, plan)
    context.cuda = device.cuda
    step = FixedPass(device, context, inputs, outputs)
    worst = 0.0
    for seed in range(2):
        given = arrays(model, batch - seed, seed)
        found, _ = step(**dict(zip(("image", "noise", "sigma"), given, strict=True)))
        worst = max(worst, float(np.abs(found / engine.errors(*given) - 1).max()))
    if worst > TOLERANCE["f32"]:
        raise AssertionError(f"replayed errors differ by {worst:.1e}")
    return {"recorded": step.graph is not None, "worst_relative_difference": worst}


def arrays(model: Model, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(model.sigma), count)
    shape = (count, *model.noise.shape[1:])
    images = (rng.integers(0, 256, shape) / 127.5 - 1).astype(np.float32)
    return images, model.noise[draws], model.sigma[draws]


def contract(plan: Plan) -> dict:
    """The tests of every engine, on this card."""
    which = "TestOnTheCpu" if plan.rehearsal else "TestOnAGpu"
    words = ["-m", "pytest", "-q", "tests/contracts/test_engine_torch_cuda.py", "-k", which]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    lines = ended.stdout.strip().splitlines()
    if ended.returncode:
        failed = [line for line in lines if line.startswith("E  ")][:FAILED_LINES]
        raise AssertionError(" ".join([*failed, lines[-1]]))
    return {"tests": lines[-1]}


def speeds(plan: Plan, model: Model) -> dict:
    """Pairs/s of the bare engine and cells/s of the judge, of each batch size, of eager torch and
    of OpenVINO; how far errors are from fp32.
    """
    crops = generated_crops()
    given = arrays(model, 64)
    reference = TorchCudaEngine(model, "f32", plan.batches[0], plan.place).errors(*given)
    rows = {}
    for batch in plan.batches:
        engine = TorchCudaEngine(model, None, batch, plan.place)
        off = float(np.abs(engine.errors(*given) / reference - 1).max())
        rows[f"torch-cuda {engine.precision}, batch {batch}"] = {
            "pairs_per_s": pairs_per_s(engine, model, plan.seconds),
            "cells_per_s": cells_per_s(engine, model, crops, plan.cells),
            "worst_relative_difference": off,
        }
    eager = TorchCudaEngine(model, "f32", plan.batches[0], plan.place)
    step = torch.inference_mode()(eager.judged_draws)
    example = [torch.zeros(eager.batch, *model.noise.shape[1:]), torch.zeros(eager.batch).long()]
    eager.passes[DRAWN] = PlainPass(step, example, plan.place)
    rows["torch eager f32"] = {"pairs_per_s": pairs_per_s(eager, model, plan.seconds)}
    if not plan.rehearsal:
        cpu = open_engine(model, "openvino")
        rows[f"openvino {cpu.precision}"] = {
            "pairs_per_s": pairs_per_s(cpu, model, plan.seconds),
            "cells_per_s": cells_per_s(cpu, model, crops, plan.cells // 16),
        }
    return {"rows": rows}


def generated_crops() -> np.ndarray:
    """Crops (n, 128, 128, 3) of the shipped model's generated cells on white, the classes in
    turn.
    """
    cells = read_sheet(len(read_card(SHIPPED).counted) + 1)[:-1].swapaxes(0, 1)
    cells = cells.reshape(-1, *cells.shape[2:])
    edge = (128 - cells.shape[1]) // 2
    return np.pad(cells, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=255)


def several_judges(plan: Plan, model: Model) -> dict:
    """Cells/s of processes that share the card, as the workers of a cluster do: each has an engine
    and a judge of its own, and all begin at the same time.
    """
    processes = get_context("spawn")
    start = processes.Barrier(plan.judges)
    with processes.Pool(plan.judges, share_start, (start,)) as pool:
        spans = pool.map(judge_alone, [(plan, model.graph.parent)] * plan.judges, chunksize=1)
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    return {"judges": plan.judges, "cells_per_s": round(plan.judges * plan.cells / seconds, 1)}


def share_start(start: Barrier) -> None:
    """Keep in a process what it begins at with the others."""
    together["start"] = start


def judge_alone(given: tuple[Plan, Path]) -> tuple[float, float]:
    """When one of several judges began and ended; its engine is warm then."""
    plan, folder = given
    model = load_model(folder)
    engine = TorchCudaEngine(model, None, max(plan.batches[:2]), plan.place)
    crops = generated_crops()
    cells_per_s(engine, model, crops, engine.batch)
    together["start"].wait(BARRIER_S)
    begin = monotonic()
    cells_per_s(engine, model, crops, plan.cells)
    return begin, monotonic()


def pairs_per_s(engine, model: Model, seconds: float) -> float:
    """Of the engine alone, in rounds as long as its batch."""
    count = max(engine.batch, 128)
    draws = np.arange(count) % len(model.sigma)
    images = arrays(model, count)[0]
    draw_errors_and_features(engine, model, images, draws)
    start = perf_counter()
    done = 0
    while perf_counter() - start < seconds:
        draw_errors_and_features(engine, model, images, draws)
        done += count
    return round(done / (perf_counter() - start), 1)


def cells_per_s(engine, model: Model, crops: np.ndarray, count: int) -> float:
    """Of the judge, from crops to verdicts."""
    to_input(crops[:1], model.card.window_px, model.card.image_px, model.card.white)
    items = ((n, crops[n % len(crops)]) for n in range(count))
    start = perf_counter()
    judged = sum(1 for _ in judge(items, engine, model))
    return round(judged / (perf_counter() - start), 1)
