"""torch's modules and exported programs, by torch's own exporter.

Opening the file of an exported program (.pt2) unpickles parts of it, which can run any code: only here, on the machine
of whoever publishes it, and only if they say that they trust the file.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import GRAPH_NAME, ROWS_MAX, Attempt, Built, Conversion
from hotswap_stream.client.publishing.errors import ExampleError, UnsupportedModelError

EXPORT_ROWS = 2
"""With one row the exporter would take it for granted that there is one."""


def convert(
    model: Any, example: Any, *, free: Mapping[str, Sequence[int]], allow_non_finite: bool, classifies: bool
) -> Conversion:
    """Return how to make a graph of a module or an exported program.

    Args:
        model: A `torch.nn.Module` or a `torch.export.ExportedProgram`.
        example: A tensor or an array for its only input, a tuple for several, or a mapping by their names. The first
            dimension of each is the rows.
        free: Input → dimensions, beside the first, of which the model takes any size. Of a module only.
        allow_non_finite: Whether weights may be NaN or infinite.
        classifies: Whether the highest score is the answer.

    Raises:
        ExampleError: The example is none of the model.
        UnsupportedModelError: It is TorchScript, or has weights that are no numbers.
    """
    import torch

    exported = isinstance(model, torch.export.ExportedProgram)
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModelError("TorchScript is not converted: hand in the module that it was made of")
    if not exported and not isinstance(model, torch.nn.Module):
        raise UnsupportedModelError(
            f"a {type(model).__name__} of torch is no model: hand in a torch.nn.Module or an exported program; a "
            "state_dict alone does not say what is computed with it"
        )
    if not allow_non_finite:
        _check_weights(model)
    names = _input_names(model, example)
    unknown = set(free) - set(names)
    if unknown or (free and exported):
        raise ExampleError(
            "an exported program says itself which sizes are free: export it with dynamic_shapes"
            if exported
            else f"free names {sorted(unknown)}; the inputs are {names}"
        )
    given = _tensors(model, names, example)
    attempt = Attempt(words="torch.onnx.export", build=lambda folder: _build(model, given, free, folder, exported))
    training = not exported and model.training
    return Conversion(
        framework="torch",
        framework_version=str(torch.__version__),
        converter="torch.onnx",
        converter_version=str(torch.__version__),
        attempts=(attempt,),
        classifies=classifies,
        warnings=("the module was in training mode; it is published as it is in evaluation mode",) if training else (),
        examples_allow_non_finite=any(
            tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()) for tensor in given.values()
        ),
    )


def open_program(file: Path) -> Any:
    """Open the file of an exported program. This unpickles parts of it, so it can run any code."""
    import torch

    return torch.export.load(file)


def _check_weights(model: Any) -> None:
    import torch

    for name, tensor in model.state_dict.items() if isinstance(model.state_dict, dict) else model.state_dict().items():
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UnsupportedModelError(
                f"weight {name!r} holds NaN or infinity; if that is meant, say allow_non_finite=True"
            )


def _input_names(model: Any, example: Any) -> list[str]:
    if isinstance(example, Mapping):
        return [str(name) for name in example]
    count = len(example) if isinstance(example, tuple) else 1
    if not hasattr(model, "graph_signature"):
        parameters = inspect.signature(model.forward).parameters.values()
        named = [
            parameter.name
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    else:
        named = [str(name) for name in model.graph_signature.user_inputs]
    if len(named) >= count:
        return named[:count]
    return [f"input_{index}" for index in range(count)]


def _tensors(model: Any, names: list[str], example: Any) -> dict[str, Any]:
    import torch

    values = (
        list(example.values())
        if isinstance(example, Mapping)
        else list(example)
        if isinstance(example, tuple)
        else [example]
    )
    weights = (model.state_dict if isinstance(model.state_dict, dict) else model.state_dict()).values()
    floats = next((tensor.dtype for tensor in weights if tensor.is_floating_point()), torch.float32)
    found = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu()
        else:
            try:
                tensor = torch.from_numpy(np.ascontiguousarray(value))
            except (TypeError, ValueError) as error:
                raise ExampleError(f"the example for {name!r} is no tensor and no array of numbers: {error}") from error
            if tensor.is_floating_point():
                tensor = tensor.to(floats)
        if not tensor.ndim or not len(tensor):
            raise ExampleError(f"the example for {name!r} has no rows; its first dimension is the rows")
        found[name] = tensor[:ROWS_MAX]
    rows = {name: len(tensor) for name, tensor in found.items()}
    if len(set(rows.values())) > 1:
        raise ExampleError(f"the inputs of the example have different numbers of rows: {rows}")
    return found


def _build(
    model: Any, given: Mapping[str, Any], free: Mapping[str, Sequence[int]], folder: Path, exported: bool
) -> Built:
    import torch

    with _on_the_cpu(model) as module, torch.no_grad():
        try:
            answer = (module.module() if exported else module)(*given.values())
        except Exception as error:
            # Whatever the module raises for inputs that are none of it.
            raise ExampleError(f"the model does not take the example: {type(error).__name__}: {error}") from error
        wanted = _named_outputs(answer)
        program = _export(module, given, free, list(wanted), exported)
    file = folder / GRAPH_NAME
    program.save(str(file))
    beside = {path.name: path for path in sorted(folder.iterdir()) if path != file}
    inputs = dict(zip([value.name for value in program.model.graph.inputs], given.values(), strict=True))
    return Built(
        file=file,
        beside=beside,
        inputs={name: tensor.numpy() for name, tensor in inputs.items()},
        wanted=dict(zip([value.name for value in program.model.graph.outputs], wanted.values(), strict=True)),
    )


def _export(
    module: Any, given: Mapping[str, Any], free: Mapping[str, Sequence[int]], outputs: list[str], exported: bool
) -> Any:
    import torch

    if exported:
        return torch.onnx.export(module, dynamo=True, verbose=False, input_names=list(given), output_names=outputs)
    few = tuple(
        torch.cat([tensor] * EXPORT_ROWS)[:EXPORT_ROWS] if len(tensor) < EXPORT_ROWS else tensor[:EXPORT_ROWS]
        for tensor in given.values()
    )
    rows = torch.export.Dim("rows", min=1)
    shapes = tuple({0: rows, **dict.fromkeys(free.get(name, ()), torch.export.Dim.DYNAMIC)} for name in given)
    return torch.onnx.export(
        module,
        few,
        dynamo=True,
        verbose=False,
        dynamic_shapes=shapes,
        input_names=list(given),
        output_names=outputs,
    )


@contextmanager
def _on_the_cpu(model: Any) -> Iterator[Any]:
    """Give the model in evaluation mode, on the CPU; the caller's own is left as it was."""
    import copy

    import torch

    if not isinstance(model, torch.nn.Module):
        yield model
        return
    if any(tensor.device.type != "cpu" for tensor in model.state_dict().values()):
        yield copy.deepcopy(model).cpu().eval()
        return
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for part, training in modes:
            part.training = training


def _named_outputs(answer: Any) -> dict[str, Array]:
    import torch

    if isinstance(answer, torch.Tensor):
        named = {"output": answer}
    elif isinstance(answer, Mapping):
        named = {str(name): value for name, value in answer.items() if value is not None}
    elif isinstance(answer, tuple | list):
        named = {f"output_{index}": value for index, value in enumerate(answer)}
    else:
        raise UnsupportedModelError(f"the model returns a {type(answer).__name__}; tensors are needed")
    for name, value in named.items():
        if not isinstance(value, torch.Tensor):
            raise UnsupportedModelError(f"output {name!r} of the model is a {type(value).__name__}, not a tensor")
    return {name: value.detach().cpu().numpy() for name, value in named.items()}
