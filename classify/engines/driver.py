"""Whether an NVIDIA driver and a GPU are there, asked of the driver itself: torch takes a second to
say so.
"""

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

from classify.errors import EngineError
from classify.model_card import Model

if TYPE_CHECKING:
    from .torch_cuda import TorchCudaEngine

LIBRARY = "libcuda.so.1"
HINT = "install an NVIDIA driver, or use --engine openvino"


def check_driver() -> int:
    """How many GPUs the driver shows.

    Raises:
        EngineError: there is no driver, or no GPU that it can use.
    """
    try:
        driver = ctypes.CDLL(LIBRARY)
        count = ctypes.c_int(0)
        status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    except (OSError, AttributeError) as error:
        raise EngineError("no NVIDIA driver", HINT) from error
    if status or count.value < 1:
        raise EngineError(f"no GPU that the NVIDIA driver can use (status {status})", HINT)
    return count.value


def open_torch_cuda(
    model: Model, name: str, precision: str | None, tell: Callable[[str], None]
) -> "TorchCudaEngine":
    """The torch engine on the first GPU that CUDA shows.

    Raises:
        EngineError: there is no driver, GPU or torch with CUDA, or the pass fails there.
    """
    check_driver()
    from .torch_cuda import open_on_gpu  # imports torch

    return open_on_gpu(model, precision)
