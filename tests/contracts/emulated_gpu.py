"""A GPU played by this process: the CUDA runtime's calls over host memory, and a library whose plan
is the graph itself.

Work waits in the stream until it is synchronised, so that a forgotten wait shows; what it computes
is real (OpenVINO, fp32).
"""

from types import SimpleNamespace

import numpy as np

from classify.engines.openvino import openvino_core
from classify.engines.tensorrt_library import PlanRunner


class EmulatedCuda:
    cudaError_t = SimpleNamespace(cudaSuccess=0)  # noqa: N815
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)  # noqa: N815

    def __init__(self):
        self.memory, self.queue, self.recording, self.launches = {}, [], None, 0
        self.made, self.device = {}, None
        self.broken = False

    def cudaGetErrorString(self, error):  # noqa: N802
        return 0, b"unspecified launch failure"

    def cudaMalloc(self, nbytes):  # noqa: N802
        block = np.zeros(nbytes, np.uint8)
        self.memory[block.ctypes.data] = block
        return 0, block.ctypes.data

    cudaMallocHost = cudaMalloc  # noqa: N815

    def cudaFree(self, address):  # noqa: N802
        del self.memory[address]
        return (0,)

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaSetDevice(self, number):  # noqa: N802
        self.device = number
        return (0,)

    def cudaStreamCreate(self):  # noqa: N802
        self.made["stream"] = 7
        return 0, 7

    def cudaStreamDestroy(self, stream):  # noqa: N802
        del self.made["stream"]
        return (0,)

    def cudaGraphDestroy(self, graph):  # noqa: N802
        return (0,)

    def cudaGraphExecDestroy(self, graph):  # noqa: N802
        del self.made["graph"]
        return (0,)

    def do(self, work):
        (self.queue if self.recording is None else self.recording).append(work)

    def cudaMemcpyAsync(self, to, source, nbytes, kind, stream):  # noqa: N802
        self.do(lambda: np.copyto(self.memory[to][:nbytes], self.memory[source][:nbytes]))
        return (0,)

    def cudaStreamBeginCapture(self, stream, mode):  # noqa: N802
        self.recording = []
        return (0,)

    def cudaStreamEndCapture(self, stream):  # noqa: N802
        recorded, self.recording = self.recording, None
        return 0, recorded

    def cudaGraphInstantiate(self, graph, flags):  # noqa: N802
        self.made["graph"] = tuple(graph)
        return 0, tuple(graph)

    def cudaGraphLaunch(self, graph, stream):  # noqa: N802
        self.launches += 1
        self.queue.extend(graph)
        return (999,) if self.broken else (0,)

    def cudaStreamSynchronize(self, stream):  # noqa: N802
        work, self.queue = self.queue, []
        for step in work:
            step()
        return (0,)


class EmulatedContext:
    def __init__(self, cuda, plan):
        self.cuda, self.addresses = cuda, {}
        core = openvino_core()
        self.compiled = core.compile_model(
            core.read_model(plan), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        outputs = [port.any_name for port in self.compiled.outputs]
        self.names = ["image", "noise", "sigma", *outputs]
        self.scratch, self.capturable, self.fails_at, self.passes = 0, True, None, 0

    def set_device_memory(self, address, size):
        assert address in self.cuda.memory
        self.scratch = size

    def is_stream_capturable(self, stream):
        return self.capturable

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return name in self.names

    def execute_async_v3(self, stream):
        self.passes += 1
        if self.passes == self.fails_at:
            return False
        assert self.scratch, "no device memory was given"
        self.cuda.do(self.compute)
        return True

    def compute(self):
        memory = [self.cuda.memory[self.addresses[name]].view(np.float32) for name in self.names]
        inputs = memory[:3]
        shaped = [
            x.reshape(tuple(port.shape))
            for x, port in zip(inputs, self.compiled.inputs, strict=True)
        ]
        found = self.compiled(shaped)
        for number, output in enumerate(memory[3:]):
            output[:] = found[number].ravel()


class EmulatedLibrary:
    """`refusals` contexts are refused before one is given."""

    name, version, portable = "tensorrt-rtx", "0", True

    def __init__(self, cuda, refusals=0, **context):
        self.cuda, self.refusals, self.builds = cuda, refusals, 0
        self.context, self.kept = context, []

    def build(self, graph, target):
        self.builds += 1
        return graph

    def runner(self, plan, kept=b""):
        self.kept.append(kept)
        self.refusals -= 1
        if self.refusals >= 0:
            return None
        context = EmulatedContext(self.cuda, plan)
        for name, value in self.context.items():
            setattr(context, name, value)
        return PlanRunner(context, 64, SimpleNamespace(serialize=lambda: b"kernels"))

    def complaint(self):
        return "made for another driver"
