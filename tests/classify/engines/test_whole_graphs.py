"""Graphs as they come out of what is done to them, node by node."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from onnx import ModelProto, numpy_helper, parser  # noqa: E402

from classify.engines import onnx_lowering  # noqa: E402
from classify.engines.channel_statistics import (  # noqa: E402
    ChannelCorrection,
    ChannelMoments,
    find_correction,
    fold_correction,
    measure_channels,
    noisy_pairs,
    normalised_layers,
)
from classify.engines.onnx_lowering import halve_weights, load_graph, specialised  # noqa: E402
from classify.errors import ModelError  # noqa: E402
from tests.approved import approved  # noqa: E402
from tests.classify.engines.test_channel_statistics import (  # noqa: E402
    model as model,  # a fixture
)
from tests.classify.engines.test_channel_statistics import some_images  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.tiny_graph import tiny_graph  # noqa: E402

RESIZED = """
<ir_version: 10, opset_import: ["" : 20]>
resized (float[n,1,4,4] image) => (float[n,1,4,4] errors) {
  first = Conv<pads = [1,1,1,1]>(image, w, b)
  wide = Resize<mode = "nearest">(first, none, scales)
  small = AveragePool<kernel_shape = [2,2], strides = [2,2]>(wide)
  size = Shape(small)
  same = Reshape(small, size)
  second = Conv<pads = [1,1,1,1]>(same, w, b)
  errors = Add(second, first)
}
"""


def resized_graph() -> ModelProto:
    made = parser.parse_model(RESIZED)
    tensors = {
        "w": np.linspace(-1, 1, 9, dtype=np.float32).reshape(1, 1, 3, 3),
        "b": np.ones(1, np.float32),
        "none": np.zeros(0, np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "unused": np.ones(3, np.float32),
    }
    made.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    return made


def written(proto: ModelProto) -> str:
    """A line each input, output, node and tensor."""
    graph = proto.graph
    lines = []
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            shape = [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
            lines.append(f"{kind} {value.name} {value.type.tensor_type.elem_type} {shape}")
    for node in graph.node:
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        made, given = ", ".join(node.output), ", ".join(node.input)
        lines.append(f"{made} = {node.op_type}({given}) {settings}")
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor).astype(np.float64)
        total = f"{values.sum():.3f} of {np.abs(values).sum():.3f}"
        lines.append(f"tensor {tensor.name} {tensor.data_type} {list(values.shape)} {total}")
    return "\n".join(lines)


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_graphs_as_an_engine_is_given_them(precision: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    texts = []
    for proto, output in (
        (tiny_graph(), "errors"),
        (tiny_graph(), "features+errors"),
        (tiny_graph(), "denoised"),
        (resized_graph(), "errors"),
    ):
        onnx.save(proto, path)
        made = specialised(path, output, 5, precision)
        texts.append(f"{proto.graph.name}, {output}\n{written(made)}\n")
    approved(__file__, f"graphs-{precision}", "\n".join(texts))


def test_a_graph_is_checked_before_it_is_given_to_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(tiny_graph(), tmp_path / "graph.onnx")
    checked = []
    monkeypatch.setattr(onnx.checker, "check_model", checked.append)
    assert checked == [] and specialised(tmp_path / "graph.onnx", "errors", 2) is checked[0]
    with pytest.raises(KeyError):
        specialised(tmp_path / "graph.onnx", "errors", 2, "f8")
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    for path in (tmp_path / "graph.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(ModelError) as refused:
            load_graph(path)
        assert refused.value.what.startswith(f"{path}: no graph that can be read: ")
        assert refused.value.hint == "export the model again, or restore the file"


def test_large_weights_are_stored_as_halves_and_nothing_of_this_machine_is() -> None:
    proto = tiny_graph()
    rng = np.random.default_rng(0)
    for name, values in (
        ("large", rng.normal(size=(32, 32)).astype(np.float32)),
        ("whole", rng.normal(size=1023).astype(np.float32)),
        ("numbers", np.arange(2000)),
    ):
        proto.graph.initializer.append(numpy_helper.from_array(values, name))
    graph = proto.graph
    graph.value_info.append(graph.input[0])
    for part in (proto, graph, *graph.node, *graph.input, *graph.output):
        part.metadata_props.add(key="where", value="/home/me")
    made = halve_weights(proto)
    assert made is proto and b"/home/me" not in made.SerializeToString()
    assert not made.graph.value_info
    approved(__file__, "halved", written(made))


def test_a_correction_is_folded_into_the_convolutions(
    model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    gain, shift = np.linspace(0.5, 2, 7), np.linspace(-1, 1, 7)
    monkeypatch.setattr(onnx_lowering.onnx.checker, "check_model", checked.append)
    fold_correction(model.graph, tmp_path / "out.onnx", ChannelCorrection(gain, shift))
    before, after = onnx.load(model.graph), onnx.load(tmp_path / "out.onnx")
    assert [one.graph.name for one in checked] == ["tiny"]
    tensors = {t.name: numpy_helper.to_array(t) for t in after.graph.initializer}
    start = 0
    for node in normalised_layers(before.graph):
        weight, bias = (
            numpy_helper.to_array(next(t for t in before.graph.initializer if t.name == name))
            for name in node.input[1:3]
        )
        own = slice(start, start + len(bias))
        start += len(bias)
        expected = weight * gain[own, None, None, None], bias * gain[own] + shift[own]
        for name, values in zip(node.input[1:3], expected, strict=True):
            assert tensors[name].dtype == np.float32
            np.testing.assert_allclose(tensors[name], values, rtol=1e-6)
    assert start == 7


def test_channels_are_measured_in_parts_and_corrected(
    model, golden: GoldenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = some_images(4, 130, colour=(0.2, -0.1, 0.3), contrast=0.4)
    seen = noisy_pairs(model, images[:3], 2)
    found = measure_channels(model, images, 2)
    home = ChannelMoments(found.mean[:64].mean(axis=0) + 0.3, found.square[:64].mean(axis=0) + 0.6)
    shares = {share: find_correction(model, images[:9], 3, home, share) for share in (0.3, 1.0)}
    y = np.arange(130) % 3
    of_class = found.of(y == 1)
    figures = {
        "pairs": [*seen, [one.flags.c_contiguous for one in seen]],
        "mean": found.mean,
        "square": found.square,
        "of a class": of_class and [of_class.mean, of_class.square],
        "of none": found.of(y == 7),
        "least variance": ChannelMoments(np.ones(1), np.ones(1)).variance,
        "corrections": {str(k): [v.gain, v.shift] for k, v in shares.items()},
    }
    golden("channels", figures, rel=1e-3, least=1e-5)
