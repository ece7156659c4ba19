"""The model of the torture runs: torch must compute exactly what the checker computes by hand."""

import itertools

import numpy as np
import pytest
import torch

from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.application.artifacts.file import read_manifest
from tests.torture.exact_artifact import artifact
from tests.torture.exact_model import X_MAX, ExactModel


@pytest.mark.parametrize("value", [1, 2, 7, 100, 10_000])
def test_torch_computes_the_same_bits(value: int) -> None:
    content = artifact(value)
    module = load_module(read_manifest(content), content)
    model = ExactModel(value)
    some = (0, 1, X_MAX - 2)
    for first_row in itertools.product(some, some, some, some):
        rows = torch.tensor([[x + row for x in first_row] for row in range(3)], dtype=torch.float32)
        with torch.inference_mode():
            found = module(rows).numpy()
        assert found.tobytes() == model.answer_bytes(first_row, 3)
        assert np.asarray(found).ravel().tolist() == model.answer(first_row, 3)


def test_no_two_versions_answer_alike() -> None:
    ends = (0, X_MAX)
    models = [ExactModel(value) for value in range(1, 30)]
    for first_row in itertools.product(ends, ends, ends, ends):
        assert len({tuple(model.answer(first_row, 1)) for model in models}) == len(models)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 10000"):
        artifact(0)
