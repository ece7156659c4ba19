"""torch's modules and exported programs as graphs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hotswap_stream.client.publishing.errors import ExampleError, PublishError, UnsupportedModelError
from hotswap_stream.client.publishing.preparing import Prepared, prepared
from hotswap_stream.client.publishing.running import run_graph
from hotswap_stream.client.publishing.wishes import Wishes
from tests.support.samples.transformer import Block

FEATURES = np.random.default_rng(0).random((20, 4))


class SumAndDifference(nn.Module):
    """Two inputs, two outputs by name."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": left + right, "difference": left - right}


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))


def shapes(graph: onnx.ModelProto) -> dict[str, list[Any]]:
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }


def published(model: Any, example: Any, **wishes: Any) -> tuple[Prepared, onnx.ModelProto]:
    with prepared(model, Wishes(example=example, **wishes)) as made:
        return made, onnx.load(made.file)


@pytest.mark.slow
def test_a_module_answers_as_before_and_is_left_as_it_was() -> None:
    module = mlp()
    module[1].eval()
    made, graph = published(module, FEATURES, labels=["a", "b", "c"])
    assert shapes(graph) == {"input": ["rows", 4], "output": ["rows", 3]}
    assert made.comparison is not None
    assert made.comparison.label_agreement == 1.0
    assert made.options.labels == ("a", "b", "c")
    assert made.tags["framework"] == "torch"
    assert any("training mode" in warning for warning in made.warnings)
    assert [part.training for part in module] == [True, False, True, True]


@pytest.mark.slow
def test_a_transformer_block_takes_texts_of_any_length() -> None:
    block, tokens = Block().eval(), torch.randint(0, 100, (6, 7))
    with prepared(block, Wishes(example=tokens, free={"tokens": [1]})) as made:
        assert made.options.warm_up == {"tokens": (1, 7)}
        for length in (3, 11):
            others = torch.randint(0, 100, (2, length))
            with torch.no_grad():
                wanted = block(others).numpy()
            found = run_graph(made.file, {"tokens": others.numpy()})["output"]
            assert np.abs(wanted - found).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("by_name", [True, False])
def test_several_inputs_and_outputs_have_their_names(by_name: bool) -> None:
    left, right = torch.rand(1, 4), torch.rand(1, 4)
    example: Mapping[str, Any] | tuple[Any, ...] = {"left": left, "right": right} if by_name else (left, right)
    _, graph = published(SumAndDifference().eval(), example)
    assert shapes(graph) == {name: ["rows", 4] for name in ("left", "right", "sum", "difference")}


@pytest.mark.slow
def test_an_exported_program_is_converted_and_its_file_opened_only_for_who_trusts_it(tmp_path: Path) -> None:
    rows = torch.export.Dim("rows")
    program = torch.export.export(mlp().eval(), (torch.rand(2, 4),), dynamic_shapes=({0: rows},))
    made, _ = published(program, FEATURES)
    assert made.comparison is not None
    file = tmp_path / "program.onnx"  # by what it is, not by its name
    torch.export.save(program, tmp_path / "program.pt2")
    (tmp_path / "program.pt2").rename(file)
    with pytest.raises(PublishError, match=r"can run any code on this machine.*trust_file=True"):
        published(str(file), FEATURES)
    made, graph = published(file, FEATURES, trust_file=True)
    assert made.comparison is not None
    assert made.comparison.rows == len(FEATURES)
    assert shapes(graph)["input"][1] == 4


def test_weights_that_are_no_numbers_are_refused() -> None:
    module = mlp()
    last = module[3]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.weight, float("nan"))
    with pytest.raises(UnsupportedModelError, match=r"weight '3.weight' holds NaN"):
        published(module, FEATURES)


@pytest.mark.parametrize(
    ("model", "example", "wishes", "said"),
    [
        (mlp(), None, {}, "example=X"),
        (mlp(), None, {"compare": False}, "needs an example"),
        (mlp(), FEATURES[:, :3], {}, "does not take the example"),
        (mlp(), FEATURES[:0], {}, "no rows"),
        (mlp(), "text", {}, "no tensor and no array"),
        (mlp(), FEATURES, {"free": {"pixels": [1]}}, r"free names \['pixels'\]; the inputs are \['input'\]"),
        (SumAndDifference(), (torch.rand(3, 4), torch.rand(2, 4)), {}, "different numbers of rows"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(model: Any, example: Any, wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(ExampleError, match=said):
        published(model, example, **wishes)


@pytest.mark.parametrize(
    ("model", "said"),
    [(mlp().state_dict(), "hand in the module"), (torch.rand(2, 2), "is no model")],
    ids=["weights alone", "a tensor"],
)
def test_what_is_no_model_is_refused(model: Any, said: str) -> None:
    with pytest.raises(UnsupportedModelError, match=said):
        published(model, FEATURES)
