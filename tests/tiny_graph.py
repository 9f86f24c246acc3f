"""A denoiser of a dozen nodes with random weights, as ONNX: what an engine needs of a graph, in
milliseconds (needs onnx).
"""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from onnx import numpy_helper, parser

from classify import Model
from classify.model_card import GRAPH, save_tables, sha256_of, write_card
from tests.make import tiny_model

TEXT = """
<ir_version: 10, opset_import: ["" : 20]>
tiny (float[n,3,16,16] image, float[n,3,16,16] noise, float[n] sigma) => (float[n,3] errors,
    float[n,3,3,16,16] denoised,
      float[n,8] features) {
  s = Unsqueeze(sigma, to_image)
  noisy = Mul(s, noise)
  x = Add(image, noisy)
  w1 = Cast<to = 1>(w1_half)
  first = Conv<pads = [1,1,1,1]>(x, w1, b1)
  norm = InstanceNormalization(first, ones, zeros)
  open = Sigmoid(norm)
  act = Mul(norm, open)
  features = ReduceMean<keepdims = 0>(act, plane)
  second = Conv<pads = [1,1,1,1]>(act, w2, b2)
  shape = Shape(second)
  same = Reshape(second, shape)
  raw = Reshape(same, classes)
  clean = Unsqueeze(image, one)
  delta = Sub(raw, clean)
  square = Mul(delta, delta)
  errors = ReduceMean<keepdims = 0>(square, pixels)
  denoised = Identity(raw)
}
"""


def tiny_graph():
    rng = np.random.default_rng(5)
    tensors = {
        "to_image": np.array([1, 2, 3]),
        "one": np.array([1]),
        "pixels": np.array([2, 3, 4]),
        "plane": np.array([2, 3]),
        "classes": np.array([-1, 3, 3, 16, 16]),
        "ones": np.ones(8, np.float32),
        "zeros": np.zeros(8, np.float32),
        "w1_half": rng.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float16),
        "b1": np.zeros(8, np.float32),
        "w2": rng.normal(0, 0.1, (9, 8, 3, 3)).astype(np.float32),
        "b2": np.zeros(9, np.float32),
    }
    model = parser.parse_model(TEXT)
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in tensors.items()
    )
    return model


def tiny_model_with_graph(folder) -> Model:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / GRAPH
    path.write_bytes(tiny_graph().SerializeToString())
    model = tiny_model()
    return replace(
        model, graph=path, card=model.card.model_copy(update={"sha256": {GRAPH: sha256_of(path)}})
    )


def write_tiny_model(folder: Path, bias: float = 0.0, **facts: object) -> Path:
    """A whole model folder of the tiny graph; another `bias` of its last class is another model."""
    model = tiny_model_with_graph(folder)
    names = [one.name for one in fields(Model) if one.name not in ("card", "graph")]
    tables = {name: getattr(model, name) for name in names if getattr(model, name) is not None}
    tables["bias"] = np.array([0, 0, bias], np.float32)
    save_tables(folder, tables)
    write_card(folder, {**model.card.model_dump(exclude={"sha256"}), **facts})
    return folder
