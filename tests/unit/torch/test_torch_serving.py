"""A version behind the port: padding, passes, a better executor while it serves, and closing."""

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.adapters.models.batch_sizes import batch_sizes
from hotswap_stream.adapters.torch.executors.executors import ChannelsLastExecutor, EagerExecutor
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of

Array = npt.NDArray[Any]
ROWS_MAX = 48
torch.set_num_threads(1)


class _Recording(EagerExecutor):
    def __init__(self, module: torch.nn.Module, manifest: Any) -> None:
        super().__init__(module, manifest)
        self.passes: list[int] = []

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self.passes.append(len(inputs[0]))
        return super().run(inputs)


def _model(name: str = "linear", rows_max: int = ROWS_MAX) -> tuple[TorchLoadedModel, _Recording]:
    torch.manual_seed(0)
    manifest = manifest_of(name, {})
    executor = _Recording(build_module(name, {}).eval().requires_grad_(False), manifest)
    return TorchLoadedModel(manifest, executor, batch_sizes(rows_max)), executor


MODELS = {name: _model(name) for name in ("linear", "ffnn-784-32-32-32-10", "digits-cnn")}


def _rows(name: str, rows: int, seed: int = 0) -> Array:
    shape = manifest_of(name, {}).inputs[0].shape[1:]
    return np.random.default_rng(seed).standard_normal((rows, *shape), dtype=np.float32)


@given(st.sampled_from(sorted(MODELS)), st.integers(1, 130), st.data())
def test_each_row_has_the_bits_of_that_row_alone_in_a_pass_of_the_same_size(
    name: str, rows: int, data: st.DataObject
) -> None:
    model, _ = MODELS[name]
    (spec,), (output,) = model.manifest.inputs, model.manifest.outputs
    inputs = _rows(name, rows, seed=rows)
    found = model.infer({spec.name: inputs})[output.name]
    assert len(found) == rows
    row = data.draw(st.integers(0, rows - 1))
    alone = model.infer_exactly({spec.name: inputs[row : row + 1]}, padded_batch_size=model.padded_rows(rows))
    assert found[row].tobytes() == alone[output.name][0].tobytes()


@given(st.integers(1, 200))
def test_every_pass_has_one_of_the_fixed_sizes(rows: int) -> None:
    model, executor = _model()
    model.infer({"x": np.ones((rows, 4), np.float32)})
    assert set(executor.passes) == {model.padded_rows(rows)}
    assert model.padded_rows(rows) in batch_sizes(ROWS_MAX)
    assert sum(executor.passes) >= rows


def test_rows_of_a_fixed_size_are_not_copied() -> None:
    model, executor = _model()
    seen: list[int] = []
    run = executor.run
    executor.run = lambda inputs: (seen.append(inputs[0].ctypes.data), run(inputs))[1]  # type: ignore[method-assign,func-returns-value]
    inputs = np.ones((model.padded_rows(13), 4), np.float32)
    model.infer({"x": inputs})
    assert seen == [inputs.ctypes.data]


def test_without_sizes_a_pass_has_the_rows_it_is_given() -> None:
    manifest = manifest_of("linear", {})
    executor = _Recording(build_module("linear", {}), manifest)
    model = TorchLoadedModel(manifest, executor)
    assert model.padded_rows(37) == 37
    assert len(model.infer({"x": np.ones((37, 4), np.float32)})["y"]) == 37
    assert executor.passes == [37]


def test_an_exact_pass_may_begin_at_a_later_row() -> None:
    model, executor = _model()
    rows = _rows("linear", 3)
    first = model.infer_exactly({"x": rows}, padded_batch_size=8)["y"]
    later = model.infer_exactly({"x": rows}, padded_batch_size=8, first_row=5)["y"]
    np.testing.assert_array_equal(first, later)
    assert executor.passes == [8, 8]
    with pytest.raises(ValueError, match="3 rows from row 6 on do not fit into a pass of 8"):
        model.infer_exactly({"x": rows}, padded_batch_size=8, first_row=6)


def test_an_offered_executor_takes_over_with_the_next_inference() -> None:
    model, eager = _model("digits-cnn")
    inputs = {"image": _rows("digits-cnn", 5)}
    before = model.infer(inputs)["scores"]
    model.offer(ChannelsLastExecutor(eager.module, model.manifest), {})
    assert model.executor == "eager"
    after = model.infer(inputs)["scores"]
    assert model.executor == "channels-last"
    np.testing.assert_allclose(before, after, atol=1e-5)
    plain = model.eager()
    assert plain is not None
    assert (
        TorchLoadedModel(model.manifest, plain, batch_sizes(ROWS_MAX)).infer(inputs)["scores"].tobytes()
        == before.tobytes()
    )


class _Slow(EagerExecutor):
    """Takes its time in the middle, as a module that is not made for two threads."""

    def __init__(self, module: torch.nn.Module, manifest: Any) -> None:
        super().__init__(module, manifest)
        self.computing = self.overlaps = 0

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self.computing += 1
        self.overlaps += self.computing > 1
        time.sleep(0.001)
        outputs = super().run(inputs)
        self.computing -= 1
        return outputs


def test_calls_of_several_threads_wait_for_each_other() -> None:
    manifest = manifest_of("linear", {})
    executor = _Slow(build_module("linear", {}).eval(), manifest)
    model = TorchLoadedModel(manifest, executor, batch_sizes(ROWS_MAX))
    inputs = {rows: {"x": _rows("linear", rows, seed=rows)} for rows in (1, 7)}
    wanted = {rows: model.infer(each)["y"].tobytes() for rows, each in inputs.items()}
    together = threading.Barrier(4)

    def call(rows: int) -> set[bytes]:
        together.wait()
        exactly = {model.infer_exactly(inputs[rows], padded_batch_size=model.padded_rows(rows))["y"].tobytes()}
        return exactly | {model.infer(inputs[rows])["y"].tobytes() for _ in range(20)}

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(call, (1, 7, 1, 7)))
    assert executor.overlaps == 0
    assert found == [{wanted[1]}, {wanted[7]}, {wanted[1]}, {wanted[7]}]


def test_each_thread_is_told_what_computed_its_own_call() -> None:
    model, eager = _model("digits-cnn")
    inputs = {"image": _rows("digits-cnn", 5)}
    model.infer(inputs)
    model.offer(ChannelsLastExecutor(eager.module, model.manifest), {})
    with ThreadPoolExecutor(1) as other:
        other.submit(model.infer, inputs).result()
        assert other.submit(lambda: model.executor).result() == "channels-last"
    assert model.executor == "eager"
    with ThreadPoolExecutor(1) as fresh:
        assert fresh.submit(lambda: model.executor).result() == "channels-last"


def test_what_is_tried_beside_it_has_weights_of_its_own() -> None:
    model, recording = _model()
    beside = model.eager()
    assert beside is not None
    assert beside.module is not recording.module
    assert {tensor.data_ptr() for tensor in beside.module.parameters()}.isdisjoint(
        tensor.data_ptr() for tensor in recording.module.parameters()
    )


def test_a_closed_model_says_so_and_takes_no_executor() -> None:
    model, eager = _model()
    model.close()
    model.offer(eager, {})
    with pytest.raises(RuntimeError, match="closed"):
        model.infer({"x": np.ones((1, 4), np.float32)})


def test_closing_drops_the_weights_and_gives_their_memory_back() -> None:
    process = psutil.Process()
    manifest = manifest_of("linear", {"features": 4096, "outputs": 8192})
    module = build_module("linear", manifest.arguments).eval().requires_grad_(False)
    gone = weakref.ref(module)
    model = TorchLoadedModel(manifest, EagerExecutor(module, manifest), batch_sizes(1))
    del module
    loaded = process.memory_info().rss
    model.close()
    for _ in range(200):
        gc.collect()
        if gone() is None and process.memory_info().rss < loaded - 100 * 2**20:
            return
        time.sleep(0.05)
    raise AssertionError(f"{(loaded - process.memory_info().rss) >> 20} of 128 MiB came back, module {gone()}")
