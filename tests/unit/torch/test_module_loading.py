"""From artifact to module and back: what loads computes the same, what does not load says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from hotswap_stream.adapters.torch.modules.architectures import (
    ArchitectureArgumentsError,
    Signature,
    UnknownArchitectureError,
    architecture,
    architecture_names,
    build_module,
    manifest_of,
)
from hotswap_stream.adapters.torch.modules.loading import WarmUpError, WeightsMismatchError, load_module
from hotswap_stream.adapters.torch.modules.saving import ModuleNotSavableError, save_module
from hotswap_stream.application.artifacts.file import ArtifactFormatError, digest_of_artifact, pack_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.plugins.names import PluginConflictError
from hotswap_stream.errors import HotswapError
from tests.support.samples.artifacts import linear_artifact, linear_manifest, linear_weights

ROW = torch.tensor([[1.0, -2.0, 3.0, 0.5]])


def _vector(name: str, size: int = 4, datatype: Any = "FP32") -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=(-1, size))


def _signature(*outputs: TensorSpec) -> Signature:
    return Signature(inputs=(_vector("x"),), outputs=outputs, warm_up={"x": (3, 4)})


class _Answers(nn.Module):
    """One weight, and an answer that a test chooses."""

    def __init__(self, answer: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.answer = answer

    def forward(self, x: torch.Tensor) -> object:
        return self.answer(x * self.scale)


class _Remembers(nn.Module):
    """A buffer that is not saved, so it must come from the constructor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("offset", torch.full((4,), 7.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * 0 + self.offset  # type: ignore[no-any-return]


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.one(x))  # type: ignore[no-any-return]


def _raise(x: torch.Tensor) -> object:
    raise RuntimeError("no such thing today")


ANSWERS: dict[str, Callable[[torch.Tensor], object]] = {
    "raises": _raise,
    "nan": lambda x: x / 0 * 0,
    "too-wide": lambda x: torch.cat([x, x], 1),
    "too-few-rows": lambda x: x[:1],
    "flat": lambda x: x.flatten(),
    "double": lambda x: x.double(),
    "nothing": lambda _: None,
    "two": lambda x: (x, x),
    "good": lambda x: x,
    "named": lambda x: {"y": x, "more": x},
}
for _name, _answer in ANSWERS.items():
    architecture(f"test-{_name}", lambda: _signature(_vector("y")))(lambda answer=_answer: _Answers(answer))
architecture("test-pair", lambda: _signature(_vector("sum", 1), _vector("class", 1, "INT64")))(
    lambda: _Answers(lambda x: (x.sum(1, keepdim=True), x.argmax(1, keepdim=True)))
)
architecture("test-remembers", lambda: _signature(_vector("y")))(_Remembers)
architecture("test-tied", lambda: _signature(_vector("y")))(_Tied)


def _saved(name: str) -> tuple[ArtifactManifest, bytes]:
    manifest = manifest_of(name, {})
    return manifest, save_module(build_module(name, {}), manifest)


@pytest.mark.parametrize("name", ["digits-cnn", "cnn-28", "ffnn-784-32-32-32-10", "linear"])
def test_what_is_saved_loads_and_computes_the_same(name: str, tmp_path: Path) -> None:
    manifest = manifest_of(name, {})
    module = build_module(name, {}).eval()
    content = save_module(module, manifest)
    (tmp_path / "artifact.safetensors").write_bytes(content)
    item = torch.rand(5, *manifest.inputs[0].shape[1:])
    for loaded in (load_module(manifest, content), load_module(manifest, tmp_path / "artifact.safetensors")):
        torch.testing.assert_close(loaded(item), module(item), rtol=0, atol=0)
        assert not loaded.training
        assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("digits-cnn", 26_698), ("cnn-28", 1_199_882), ("ffnn-784-32-32-32-10", 27_562), ("linear", 10)],
)
def test_architectures_have_the_size_they_claim(name: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in build_module(name, {}).parameters()) == parameters


def test_a_module_keeps_working_when_its_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "artifact.safetensors"
    path.write_bytes(linear_artifact())
    loaded = load_module(linear_manifest(), path)
    before = loaded(ROW)
    path.write_bytes(b"")
    torch.testing.assert_close(loaded(ROW), before, rtol=0, atol=0)


def test_weights_made_elsewhere_are_used_as_they_are() -> None:
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
    module = nn.Linear(4, 2)
    module.load_state_dict({"weight": weights, "bias": torch.tensor([10.0, 20.0])})
    found = load_module(linear_manifest(), save_module(module, linear_manifest()))(ROW)
    torch.testing.assert_close(found, torch.tensor([[18.0, 20.5]]))


def test_the_same_module_saves_to_the_same_bytes() -> None:
    module = build_module("cnn-28", {})
    contents = {digest_of_artifact(save_module(module, manifest_of("cnn-28", {}))) for _ in range(3)}
    assert len(contents) == 1


def test_an_unknown_architecture_is_answered_with_the_known_ones() -> None:
    manifest = msgspec.structs.replace(linear_manifest(), architecture="resnet-50")
    with pytest.raises(UnknownArchitectureError) as raised:
        load_module(manifest, linear_artifact())
    assert "'resnet-50' is not known" in str(raised.value)
    assert all(name in str(raised.value) for name in ("cnn-28", "digits-cnn", "ffnn-784-32-32-32-10", "linear"))
    assert {"digits-cnn", "linear"} <= set(architecture_names())


@pytest.mark.parametrize("arguments", [{"depth": 3}, {"features": "many"}, {"features": -1}, {"features": None}])
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArchitectureArgumentsError, match="'linear'"):
        load_module(msgspec.structs.replace(linear_manifest(), arguments=arguments), linear_artifact())
    with pytest.raises(ArchitectureArgumentsError, match="'linear'"):
        manifest_of("linear", arguments)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(PluginConflictError, match="'linear' is registered twice"):
        architecture("linear", lambda: _signature(_vector("y")))(lambda: nn.Linear(4, 4))


def test_weights_of_another_shape_are_refused_before_memory_is_taken() -> None:
    """The manifest asks for 4 TiB; only the 10 numbers in the file are ever there."""
    huge = msgspec.structs.replace(linear_manifest(), arguments={"features": 2**30, "outputs": 2**10})
    with pytest.raises(WeightsMismatchError, match=r"weight is torch.float32 \[2, 4\], not torch.float32 \[1024, "):
        load_module(huge, linear_artifact())


def test_missing_and_foreign_weights_are_named() -> None:
    manifest = manifest_of("digits-cnn", {})
    with pytest.raises(WeightsMismatchError) as raised:
        load_module(manifest, pack_artifact(manifest, linear_weights()))
    assert "0.weight is missing" in str(raised.value)
    assert "and 5 more" in str(raised.value)
    with pytest.raises(WeightsMismatchError, match=r"0\.weight is not part of it"):
        load_module(linear_manifest(), _saved("digits-cnn")[1])


def test_weights_of_another_datatype_are_refused() -> None:
    content = save_module(nn.Linear(4, 2).half(), linear_manifest())
    with pytest.raises(WeightsMismatchError, match=r"torch.float16 \[2, 4\], not torch.float32"):
        load_module(linear_manifest(), content)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test-raises", "RuntimeError: no such thing today"),
        ("test-nan", "holds NaN or infinity"),
        ("test-too-wide", r"has shape \[3, 8\]; \[3, 4\] is needed"),
        ("test-too-few-rows", r"has shape \[1, 4\]; \[3, 4\] is needed"),
        ("test-flat", r"has shape \[12\]; \[3, 4\] is needed"),
        ("test-double", "is torch.float64; FP32"),
        ("test-nothing", r"answered \['NoneType'\]; one tensor each for \['y'\]"),
        ("test-two", r"answered \['Tensor', 'Tensor'\]; one tensor each for \['y'\]"),
    ],
)
def test_a_module_that_answers_wrongly_does_not_load(name: str, words: str) -> None:
    manifest, content = _saved(name)
    with pytest.raises(WarmUpError, match=words):
        load_module(manifest, content)


@pytest.mark.parametrize("name", ["test-good", "test-named", "test-pair"])
def test_one_tensor_a_tuple_or_a_dict_will_do(name: str) -> None:
    manifest, content = _saved(name)
    load_module(manifest, content)


def test_non_finite_answers_load_where_the_manifest_allows_them() -> None:
    manifest, content = _saved("test-nan")
    load_module(msgspec.structs.replace(manifest, allow_non_finite=True), content)


def test_nan_weights_do_not_load() -> None:
    module = nn.Linear(4, 2)
    nn.init.constant_(module.weight, float("nan"))
    with pytest.raises(WarmUpError, match="output 'y' holds NaN"):
        load_module(linear_manifest(), save_module(module, linear_manifest()))


def test_a_buffer_that_is_not_saved_gets_the_value_of_its_constructor() -> None:
    manifest, content = _saved("test-remembers")
    torch.testing.assert_close(load_module(manifest, content)(ROW), torch.full((1, 4), 7.0))


def test_shared_weights_are_refused_when_saved() -> None:
    with pytest.raises(ModuleNotSavableError, match="test-tied"):
        _saved("test-tied")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactFormatError, match="cannot be read as safetensors"):
        load_module(linear_manifest(), tmp_path / "nothing.safetensors")


@given(st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_damaged_file_loads_or_is_refused_but_nothing_else(data: st.DataObject) -> None:
    content = bytearray(linear_artifact())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        load_module(linear_manifest(), bytes(content))
    except HotswapError:
        return


def test_a_recommender_scores_users_and_items() -> None:
    module = build_module("recommender", {"users": 5, "items": 3, "dimensions": 4})
    ids = torch.tensor([[0, 0], [4, 2]])
    expected = [torch.sigmoid(module.users.weight[user] @ module.items.weight[item]) for user, item in ids.tolist()]  # type: ignore[union-attr, index]
    assert torch.allclose(module(ids).reshape(-1), torch.stack(expected))
    with pytest.raises(IndexError):
        module(torch.tensor([[5, 0]]))
