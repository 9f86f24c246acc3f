"""Statistics of an encoder's channels: measured, corrected, folded into the graph."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from classify.engines.channel_statistics import (
    ChannelMoments,
    find_correction,
    fold_correction,
    measure_channels,
)
from classify.engines.openvino import openvino_core
from tests.make import tiny_model

PX = 16
CHANNELS = (4, 3)


def tiny_encoder(path, rng):
    """Two convolutions with the bias of a folded norm, named as the exporter names them."""
    names = ("trunk.encoder._conv_stem.weight", "trunk.encoder._blocks.0._project_conv.weight")
    shapes = ((CHANNELS[0], 3, 3, 3), (CHANNELS[1], CHANNELS[0], 1, 1))
    tensors = [numpy_helper.from_array(np.array([1, 1, 1], np.int64), "axes")]
    for name, shape in zip(names, shapes, strict=True):
        weight = rng.normal(size=shape).astype(np.float32)
        tensors.append(numpy_helper.from_array(weight, name))
        bias = rng.normal(size=shape[0]).astype(np.float32)
        tensors.append(numpy_helper.from_array(bias, f"{name}_bias"))
    tensors.append(numpy_helper.from_array(np.array([-1, 1, 1, 1], np.int64), "column"))
    nodes = [
        helper.make_node("Reshape", ["sigma", "column"], ["level"]),
        helper.make_node("Mul", ["noise", "level"], ["added"]),
        helper.make_node("Add", ["image", "added"], ["x"]),
        helper.make_node("Conv", ["x", names[0], f"{names[0]}_bias"], ["z0"], pads=[1] * 4),
        helper.make_node("Relu", ["z0"], ["h"]),
        helper.make_node("Conv", ["h", names[1], f"{names[1]}_bias"], ["z1"]),
        helper.make_node("Identity", ["z1"], ["errors"]),
    ]
    picture = [helper.make_tensor_value_info(n, 1, ["n", 3, PX, PX]) for n in ("image", "noise")]
    inputs = [*picture, helper.make_tensor_value_info("sigma", TensorProto.FLOAT, ["n"])]
    out = helper.make_tensor_value_info("errors", 1, ["n", CHANNELS[1], PX, PX])
    graph = helper.make_graph(nodes, "tiny", inputs, [out], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)


@pytest.fixture
def model(tmp_path):
    tiny_encoder(tmp_path / "denoiser.onnx", np.random.default_rng(0))
    return replace(tiny_model(draws=3, px=PX), graph=tmp_path / "denoiser.onnx")


def some_images(seed, count=24, colour=(0.0, 0.0, 0.0), contrast=0.5):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0, contrast, (count, 3, PX, PX)) + np.array(colour)[:, None, None]
    return pixels.clip(-1, 1).astype(np.float32)


def whole(model, images):
    found = measure_channels(model, images, 2)
    return ChannelMoments(found.mean.mean(axis=0), found.square.mean(axis=0))


def test_other_colours_get_the_statistics_of_home_back(model, tmp_path):
    home, lab = whole(model, some_images(1)), some_images(2, colour=(0.4, 0.1, -0.3), contrast=0.3)
    found = find_correction(model, lab, 2, home, share=1.0)
    fold_correction(model.graph, tmp_path / "lab.onnx", found)
    before, after = whole(model, lab), whole(replace(model, graph=tmp_path / "lab.onnx"), lab)
    free = (found.gain > 0.51) & (found.gain < 1.99)
    assert free.sum() >= 4
    assert np.abs(after.mean - home.mean)[free].max() < 0.05 < np.abs(before.mean - home.mean).max()
    np.testing.assert_allclose(after.variance[free], home.variance[free], rtol=0.05)


def test_no_share_of_the_laboratory_changes_nothing(model, tmp_path):
    home = whole(model, some_images(1))
    found = find_correction(model, some_images(2, colour=(0.5, 0, 0)), 2, home, share=0.0)
    np.testing.assert_allclose(found.gain, 1, rtol=1e-4)
    np.testing.assert_allclose(found.shift, 0, atol=1e-4)
    fold_correction(model.graph, tmp_path / "same.onnx", found)
    images = some_images(3, 2)
    given = [images, np.zeros_like(images), np.ones(2, np.float32)]
    core = openvino_core()
    made = [core.compile_model(p, "CPU")(given)[0] for p in (model.graph, tmp_path / "same.onnx")]
    np.testing.assert_allclose(*made, atol=2e-2)


def test_classes_are_mixed_by_their_shares():
    classes = ChannelMoments(np.array([[0.0], [4.0]]), np.array([[1.0], [17.0]]))
    mixed = classes.mixed(np.array([0.5, 0.5]))
    assert mixed.mean.tolist() == [2.0] and mixed.variance.tolist() == [5.0]
