"""From an artifact to a module that may serve: build, fill strictly, warm up, or say clearly why not."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.overrides import TorchFunctionMode

from hotswap_stream.adapters.models.reading import read_file
from hotswap_stream.adapters.torch.modules.architectures import build_module
from hotswap_stream.adapters.torch.modules.datatypes import TORCH_OF
from hotswap_stream.adapters.torch.modules.reading import weights_in
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.errors import HotswapError

NAMES_SHOWN_MAX = 5
_RANDOM = (
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.log_normal_,
    torch.Tensor.exponential_,
    torch.Tensor.bernoulli_,
    nn.init.normal_,  # which torch hands over itself, and not what it is made of
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
)
WARM_UP_RUNS = 2
"""The first run makes torch pick and compile its kernels, the second shows that they work."""


class WeightsMismatchError(HotswapError):
    """The weights are not those of the architecture the manifest names."""


class WarmUpError(HotswapError):
    """The module raised an error, or returned the wrong shape, the wrong datatype or NaN, when it was tried."""


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves out what fills tensors without memory with random numbers.

    The first time, torch imports 900 modules for it, sympy among them: 1.2 s of a processor, and most of that with
    Python's lock held, while other versions are to answer.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        given = kwargs or {}
        if func in _RANDOM:
            tensor = args[0] if args else given.get("tensor")
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **given)


def load_module(manifest: ArtifactManifest, weights: bytes | Path | torch.Tensor) -> nn.Module:
    """Return the module of a checked artifact, in eval mode, without gradients, warmed up.

    Args:
        manifest: What the artifact declares.
        weights: The artifact file: as bytes, as its path, or as a tensor of its bytes. From the latter two the module
            uses the memory that the file was read into.

    Raises:
        MissingPluginError: No architecture is registered under the manifest's name.
        ArchitectureArgumentsError: It does not take the manifest's arguments.
        ArtifactFormatError: The file does not fit its header.
        WeightsMismatchError: The weights are another architecture's.
        WarmUpError: The module does not compute what the manifest declares.
    """
    if manifest.kind != "architecture":
        raise WarmUpError(f"the artifact is of kind {manifest.kind!r}: it has no architecture that torch could build")
    state = _read_state(weights)
    # First without memory: a wrong manifest is refused before anything of its size is allocated.
    with torch.device("meta"), _NoRandomNumbers():
        module = build_module(manifest.architecture, manifest.arguments)
    _check_state(manifest.architecture, module.state_dict(), state)
    if any(name not in state for name, _ in module.named_buffers()):
        # A buffer that is not saved gets its value from the constructor, so the constructor must run for real.
        module = build_module(manifest.architecture, manifest.arguments)
    # Assigned, not copied: what was read is what computes.
    module.load_state_dict(state, strict=True, assign=True)
    module.eval().requires_grad_(False)
    warm_up(module, manifest)
    return module


def warm_up(module: nn.Module, manifest: ArtifactManifest) -> None:
    """Run the module on the manifest's warm-up shapes and check what comes out. WarmUpError."""
    inputs = [_sample(spec, manifest.warm_up[spec.name]) for spec in manifest.inputs]
    batch = manifest.warm_up[manifest.inputs[0].name][0]
    for _ in range(WARM_UP_RUNS):
        try:
            with torch.inference_mode():
                answer = module(*inputs)
        except Exception as error:
            raise WarmUpError(
                f"{manifest.architecture!r} raised on warm-up: {type(error).__name__}: {error}"
            ) from error
        for spec, tensor in zip(manifest.outputs, named_outputs(answer, manifest), strict=True):
            _check_output(spec, tensor, batch, allow_non_finite=manifest.allow_non_finite)


def named_outputs(answer: object, manifest: ArtifactManifest) -> list[torch.Tensor]:
    """Return what a module returned as one tensor per output of the manifest, in its order.

    WarmUpError if it is not that.
    """
    if isinstance(answer, Mapping):
        found = [answer.get(spec.name) for spec in manifest.outputs]
    else:
        found = list(answer) if isinstance(answer, tuple | list) else [answer]
    names = [spec.name for spec in manifest.outputs]
    tensors = [tensor for tensor in found if isinstance(tensor, torch.Tensor)]
    if len(tensors) != len(names) or len(found) != len(names):
        kinds = [type(item).__name__ for item in found]
        raise WarmUpError(f"{manifest.architecture!r} answered {kinds}; one tensor each for {names} is needed")
    return tensors


def _sample(spec: TensorSpec, shape: tuple[int, ...]) -> torch.Tensor:
    dtype = TORCH_OF[spec.datatype]
    if dtype.is_floating_point:
        return torch.linspace(0, 1, steps=torch.Size(shape).numel()).reshape(shape).to(dtype)
    return torch.zeros(shape, dtype=dtype)


def _check_output(spec: TensorSpec, tensor: torch.Tensor, batch: int, *, allow_non_finite: bool) -> None:
    shape = tuple(tensor.shape)
    wanted = (batch if spec.shape[0] == -1 else spec.shape[0], *spec.shape[1:])
    if not spec.fits(shape) or shape[0] != wanted[0]:
        raise WarmUpError(f"output {spec.name!r} has shape {list(shape)}; {list(wanted)} is needed")
    if tensor.dtype != TORCH_OF[spec.datatype]:
        raise WarmUpError(
            f"output {spec.name!r} is {tensor.dtype}; {spec.datatype} ({TORCH_OF[spec.datatype]}) is needed"
        )
    if not allow_non_finite and tensor.dtype.is_floating_point and not bool(torch.isfinite(tensor).all()):
        raise WarmUpError(
            f"output {spec.name!r} holds NaN or infinity; the manifest's allow_non_finite would permit that"
        )


def _read_state(weights: bytes | Path | torch.Tensor) -> dict[str, torch.Tensor]:
    try:
        if isinstance(weights, bytes):
            return safetensors.torch.load(weights)
        return weights_in(torch.from_numpy(read_file(weights)) if isinstance(weights, Path) else weights)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ArtifactFormatError(f"weights cannot be read as safetensors: {error}") from error


def _check_state(name: str, wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """Check that names, shapes and datatypes are exactly those of the architecture. WeightsMismatchError."""
    problems = [f"{key} is missing" for key in wanted if key not in found]
    problems += [f"{key} is not part of it" for key in sorted(found) if key not in wanted]
    problems += [
        f"{key} is {_kind(found[key])}, not {_kind(wanted[key])}"
        for key in wanted
        if key in found and _kind(found[key]) != _kind(wanted[key])
    ]
    if problems:
        shown = "; ".join(problems[:NAMES_SHOWN_MAX])
        more = f"; and {len(problems) - NAMES_SHOWN_MAX} more" if len(problems) > NAMES_SHOWN_MAX else ""
        raise WeightsMismatchError(f"weights do not fit architecture {name!r}: {shown}{more}")


def _kind(tensor: torch.Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
