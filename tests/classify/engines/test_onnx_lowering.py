"""What is done to the graph for a strongly typed engine."""

import numpy as np
import pytest

from classify.engines.openvino import openvino_core

onnx = pytest.importorskip(
    "onnx", reason="onnx is not installed (the rtx, tensorrt and train extras have it)"
)


def types_of(model):
    """Element type of the first input of every node, by kind of node."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = {
        v.name: v.type.tensor_type.elem_type
        for v in [*graph.input, *graph.output, *graph.value_info]
    }
    values |= {t.name: t.data_type for t in graph.initializer}
    return [(n.op_type, values[n.input[0]]) for n in graph.node]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from tests.tiny_graph import tiny_model_with_graph

    return tiny_model_with_graph(tmp_path_factory.mktemp("model"))


@pytest.fixture(params=["tiny", "shipped"])
def model(request, tiny):
    from classify import load_model

    return tiny if request.param == "tiny" else load_model()


def run(graph, *inputs):
    compiled = openvino_core().compile_model(
        openvino_core().read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return compiled(list(inputs))[0]


@pytest.mark.parametrize("precision", ["f32", "f16", "bf16"])
def test_products_are_lowered_and_nothing_else(model, precision):
    from classify.engines.onnx_lowering import PRODUCTS, TYPES, specialised

    types = types_of(specialised(model.graph, "errors", 4, precision))
    assert {t for kind, t in types if kind in PRODUCTS} == {TYPES[precision]}
    assert {t for kind, t in types if kind == "InstanceNormalization"} == {onnx.TensorProto.FLOAT}
    assert types[-1] == ("ReduceMean", onnx.TensorProto.FLOAT)


@pytest.mark.parametrize("output", ["errors", "denoised", "errors+features"])
def test_the_outputs_that_are_wanted_and_one_batch_size(model, output):
    from classify.engines.onnx_lowering import specialised

    graph = specialised(model.graph, output, 4).graph
    assert [o.name for o in graph.output] == output.split("+")
    assert {v.type.tensor_type.shape.dim[0].dim_value for v in [*graph.input, *graph.output]} == {4}
    assert not [n for n in graph.node if n.op_type == "Cast"]


def test_fp32_is_the_same_arithmetic(model):
    from classify.engines.onnx_lowering import specialised
    from classify.engines.openvino import OpenVinoEngine
    from tests.contracts.engine_contract import inputs

    given = inputs(model, 2)
    ours = run(specialised(model.graph, "errors", 2).SerializeToString(), *given)
    np.testing.assert_allclose(
        ours, OpenVinoEngine(model, "f32", batch=2).errors(*given), rtol=1e-5
    )


def test_half_precision_rounds_and_no_more(tiny):
    """Against the plain evaluator of the standard, which rounds to fp16 after every node."""
    from onnx.reference import ReferenceEvaluator

    from classify.engines.onnx_lowering import specialised
    from tests.contracts.engine_contract import inputs

    given = dict(zip(("image", "noise", "sigma"), inputs(tiny, 2), strict=True))
    whole, half = (
        ReferenceEvaluator(specialised(tiny.graph, "errors", 2, p)).run(None, given)[0]
        for p in ("f32", "f16")
    )
    assert half.dtype == np.float32 and (half != whole).any()
    np.testing.assert_allclose(half, whole, rtol=2e-3)
