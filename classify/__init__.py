from .anomaly import FAR_DRIFT, by_chance, calibration_drift
from .calibration import LabCells
from .cell_size import contradiction_of, size_evidence
from .engines import ENGINE_NAMES as ENGINES
from .engines import Compiled, Engine, compile_ahead, open_engine
from .errors import DataError, EngineError, ModelError
from .explain import Explanation, Nearest, NearestCell, cell_words, explain_cell
from .image_folder import OTHER_CLASS, CropFolder, Source, read_crop
from .judge import judge
from .model_card import (
    CLASS_NAME,
    SHIPPED,
    SHORT_NAMES,
    Card,
    ClassName,
    Model,
    load_model,
    model_folder,
    read_card,
    read_sheet,
)
from .model_check import ModelCheck, admit_model, verify_model
from .model_library import MODELS_FOLDER, ModelLibrary, ModelsInUse, UsedModel, kind_of
from .pixels import on_white, to_input, to_uint8
from .verdict import UNIDENTIFIED, Anomaly, Verdict

__all__ = [
    "OTHER_CLASS",
    "UNIDENTIFIED",
    "Anomaly",
    "CLASS_NAME",
    "Card",
    "ClassName",
    "CropFolder",
    "DataError",
    "ENGINES",
    "Engine",
    "EngineError",
    "Explanation",
    "FAR_DRIFT",
    "LabCells",
    "MODELS_FOLDER",
    "ModelCheck",
    "ModelLibrary",
    "ModelsInUse",
    "UsedModel",
    "admit_model",
    "kind_of",
    "verify_model",
    "Model",
    "ModelError",
    "Nearest",
    "NearestCell",
    "SHIPPED",
    "Source",
    "SHORT_NAMES",
    "Verdict",
    "by_chance",
    "calibration_drift",
    "cell_words",
    "Compiled",
    "compile_ahead",
    "contradiction_of",
    "explain_cell",
    "judge",
    "load_model",
    "model_folder",
    "on_white",
    "open_engine",
    "read_card",
    "read_crop",
    "read_sheet",
    "size_evidence",
    "to_input",
    "to_uint8",
]
