from .augment import Jitter, augment_crops, view
from .data_parallel import Ranks, join
from .export_onnx import export_graph
from .initial_weights import of_model
from .model_sizes import write_sizes
from .release import load_run, release_model
from .train import (
    TrainConfig,
    Training,
    class_names,
    partial_cross_entropy,
    spread,
    train_model,
)

__all__ = [
    "Jitter",
    "Ranks",
    "TrainConfig",
    "Training",
    "augment_crops",
    "class_names",
    "partial_cross_entropy",
    "export_graph",
    "join",
    "load_run",
    "of_model",
    "release_model",
    "spread",
    "train_model",
    "view",
    "write_sizes",
]
