"""Numbers that were chosen and follow from nothing, written down once more: published figures
rest on them, and a recipe or a call that is silent has its defaults. A change is to be meant.
"""

import inspect
import re
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.golden_figures import GoldenFile

pytestmark = pytest.mark.train
NUMBERS = (bool, int, float, np.ndarray)
MODULES = re.findall(r"^    import (classify\.[\w.]+)", Path(__file__).read_text(), re.MULTILINE)


def is_number(value: Any) -> bool:
    """A number, or what holds nothing but numbers and their names."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return any(map(is_number, value)) and all(isinstance(v, str) or is_number(v) for v in value)
    return isinstance(value, NUMBERS)


def defaults_of(function: Any) -> dict[str, Any]:
    given = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in given if is_number(p.default)}


def bounds_of(field: FieldInfo) -> str:
    """Default and bounds of a field of a file."""
    default = [] if field.is_required() else [repr(field.default)]
    return ", ".join([*default, *map(repr, field.metadata)])


def chosen_in(module: ModuleType) -> dict[str, Any]:
    """Constants, defaults of arguments and of fields, and schemas of what a module itself says."""
    found: dict[str, Any] = {}
    assigned = re.findall(r"^(\w+)(?:: [^=\n]+)? = ", inspect.getsource(module), re.MULTILINE)
    for name, value in vars(module).items():
        if getattr(value, "__module__", module.__name__) != module.__name__:
            continue
        if inspect.isclass(value) and issubclass(value, BaseModel):
            found[name] = {n: bounds_of(f) for n, f in value.model_fields.items()}
            found[name] |= {n: v for n, v in value.model_config.items() if is_number(v)}
        elif is_dataclass(value):
            found[name] = {f.name: f.default for f in fields(value) if is_number(f.default)}
            known = {f.name: f for f in fields(value) if f.default_factory is not MISSING}
            found[name] |= {n: f.init for n, f in known.items()}
        elif inspect.isclass(value):
            methods = inspect.getmembers(value, inspect.isfunction)
            own = {n: defaults_of(m) for n, m in methods if m.__module__ == module.__name__}
            found[name] = {n: one for n, one in own.items() if one}
        elif inspect.isfunction(value):
            found[name] = defaults_of(value)
        elif name in assigned and is_number(value):
            found[name] = value
    return {name: one for name, one in found.items() if not isinstance(one, dict) or one}


def test_numbers_that_were_chosen(golden: GoldenFile) -> None:
    pytest.importorskip("torch", reason="the train extra is not installed")
    pytest.importorskip("matplotlib", reason="the train extra is not installed")
    import classify.anomaly.conformal
    import classify.anomaly.drift
    import classify.anomaly.score
    import classify.benchmark.judge_timing
    import classify.benchmark.paper_procedure
    import classify.benchmark.scaling
    import classify.calibration.adaptation
    import classify.calibration.cell_sizes
    import classify.calibration.certainty
    import classify.calibration.comparison
    import classify.calibration.draws
    import classify.calibration.laboratory
    import classify.calibration.psychometric
    import classify.cell_size
    import classify.elimination
    import classify.encoder
    import classify.engines.channel_statistics
    import classify.engines.cuda
    import classify.engines.onnx_lowering
    import classify.engines.openvino
    import classify.engines.plan_cache
    import classify.engines.tensorrt
    import classify.engines.tensorrt_library
    import classify.engines.torch
    import classify.engines.torch_cuda
    import classify.evaluation.axis_calibration
    import classify.evaluation.axis_generated
    import classify.evaluation.baseline
    import classify.evaluation.contender
    import classify.evaluation.contenders
    import classify.evaluation.evaluate
    import classify.evaluation.generation_metrics
    import classify.evaluation.metrics
    import classify.evaluation.plots
    import classify.evaluation.retrain
    import classify.evaluation.scoring
    import classify.evaluation.suite
    import classify.evaluation.training_report
    import classify.explain.authenticity
    import classify.explain.card_sheet
    import classify.explain.generate
    import classify.explain.maps
    import classify.explain.morphology
    import classify.explain.nearest
    import classify.image_folder
    import classify.judge
    import classify.model_card
    import classify.model_check
    import classify.model_library
    import classify.network
    import classify.pixels
    import classify.rule
    import classify.teaching.crossvalidation
    import classify.teaching.head
    import classify.teaching.review_order
    import classify.teaching.taught_class
    import classify.teaching.verdicts
    import classify.training.augment
    import classify.training.data_parallel
    import classify.training.denoiser_training
    import classify.training.field_crops
    import classify.training.muon
    import classify.training.packed_data
    import classify.training.release
    import classify.training.schedule
    import classify.training.sources
    import classify.training.train
    import classify.training.train_config
    import classify.training.training_crops
    import classify.training.training_state
    import classify.verdict

    names = [name for name in MODULES if name.startswith(classify.__name__)]
    found = {name: chosen_in(sys.modules[name]) for name in names}
    golden("chosen-numbers", {name: one for name, one in found.items() if one})
