from .augment import Jitter, augment_crops, view
from .data_parallel import Ranks, join
from .denoiser_training import Training, partial_cross_entropy
from .export_onnx import export_graph
from .field_crops import write_field_crops
from .initial_weights import of_model
from .model_sizes import write_sizes
from .packed_data import pack_recipe, unpack_data
from .release import labelled_cells, load_run, release_model
from .schedule import paced
from .sources import read_sources
from .train import MOST_STEPS, learn, prepare, train_model
from .train_config import TrainConfig
from .training_crops import LabelledInputs, class_names, labelled_inputs, read_data, spread
from .training_state import TrainingState

__all__ = [
    "MOST_STEPS",
    "Jitter",
    "LabelledInputs",
    "labelled_inputs",
    "Ranks",
    "TrainConfig",
    "Training",
    "TrainingState",
    "augment_crops",
    "class_names",
    "pack_recipe",
    "paced",
    "partial_cross_entropy",
    "export_graph",
    "join",
    "labelled_cells",
    "learn",
    "load_run",
    "of_model",
    "prepare",
    "read_data",
    "read_sources",
    "release_model",
    "spread",
    "train_model",
    "unpack_data",
    "view",
    "write_field_crops",
    "write_sizes",
]
