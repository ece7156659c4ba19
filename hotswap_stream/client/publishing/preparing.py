"""From a model to a file that can be uploaded: convert, run, compare, and take the first way that holds."""

import os
import platform
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.bundle import check_names
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.client.publishing.choosing import conversion_of
from hotswap_stream.client.publishing.comparing import compare
from hotswap_stream.client.publishing.conversion import Attempt, Built, Conversion
from hotswap_stream.client.publishing.differences import Comparison
from hotswap_stream.client.publishing.errors import (
    ConversionDiffersError,
    ExampleError,
    PublishError,
    UnsupportedModelError,
)
from hotswap_stream.client.publishing.running import first_line, graph_inputs, run_graph
from hotswap_stream.client.publishing.wishes import Wishes

REASONS_SHOWN = 3


class Prepared(Struct, frozen=True, kw_only=True):
    """A model as a file, and what is known of it."""

    file: Path
    beside: dict[str, Path] = {}
    options: ModelOptions = ModelOptions()
    comparison: Comparison | None = None
    tags: dict[str, str] = {}
    environment: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


@contextmanager
def prepared(model: Any, wishes: Wishes) -> Iterator[Prepared]:
    """Give a model as a file; what was made for it is deleted afterwards.

    Raises:
        PublishError: It cannot be converted, or its graph does not answer as it does; the message says what would do.
        HotswapError: It is a file that is never opened, such as a pickle.
    """
    conversion = conversion_of(model, wishes)
    beside = _files(wishes.beside)
    if isinstance(conversion, Path):
        if beside:
            raise PublishError(f"{conversion} is an artifact, which has its files inside: nothing goes beside it")
        yield Prepared(file=conversion)
        return
    with tempfile.TemporaryDirectory(prefix="hotswap-publish-") as folder:
        with warnings.catch_warnings():
            # What converters say of themselves is of no use to their user; what matters is compared.
            warnings.simplefilter("ignore")
            made = _prepared(conversion, wishes, Path(folder))
        if taken := beside.keys() & made.beside.keys():
            raise PublishError(f"a file beside the graph is named {min(taken)!r}, as one with its weights is")
        yield replace(made, beside={**made.beside, **beside})


def _files(given: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    """Return the files that go beside the graph. PublishError where one is none, or its name is not taken."""
    files = {name: Path(path) for name, path in given.items()}
    for name, path in files.items():
        if not path.is_file():
            raise PublishError(f"{path}, which is to be {name!r} beside the graph, is no file")
    if files:
        check_names([GRAPH_FILE, *files])
    if GRAPH_FILE in files:
        raise PublishError(f"{GRAPH_FILE!r} is the name of the graph itself")
    return files


def _prepared(conversion: Conversion, wishes: Wishes, folder: Path) -> Prepared:
    allow = conversion.examples_allow_non_finite if wishes.allow_non_finite is None else wishes.allow_non_finite
    _ask(conversion)
    attempt, built, comparison = _first_that_holds(conversion, wishes, folder, allow)
    remarks = [*conversion.warnings, *built.warnings]
    if comparison is not None and comparison.undecided_rows:
        remarks.append(
            f"{comparison.undecided_rows} rows of the example are undecided: their two highest scores are as good as "
            "equal, and the graph takes the other one"
        )
    if allow and wishes.allow_non_finite is None:
        remarks.append("the example holds NaN or infinity: requests may hold them, too")
    return Prepared(
        file=built.file,
        beside=built.beside,
        options=_options(conversion, built, wishes, allow),
        comparison=comparison,
        tags=_tags(conversion, attempt),
        environment=_environment(conversion),
        warnings=tuple(remarks),
    )


def _ask(conversion: Conversion) -> None:
    if conversion.ask is None:
        return
    try:
        conversion.ask()
    except PublishError:
        raise
    except Exception as error:
        # Whatever the framework raises for rows that are none of its model.
        raise ExampleError(
            f"the model does not take the example: {type(error).__name__}: {first_line(error)}"
        ) from error


def _first_that_holds(
    conversion: Conversion, wishes: Wishes, folder: Path, allow_non_finite: bool
) -> tuple[Attempt, Built, Comparison | None]:
    failed: list[str] = []
    others: list[tuple[Attempt, Comparison]] = []
    for index, attempt in enumerate(conversion.attempts):
        place = folder / str(index)
        place.mkdir()
        try:
            built = attempt.build(place)
            found = {} if built.inputs is None else run_graph(built.file, built.inputs)
        except PublishError as error:
            if len(conversion.attempts) == 1:
                raise
            failed.append(f"{attempt.words}: {error}")
            continue
        except ModuleNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001  # converters raise what they like
            failed.append(f"{attempt.words}: {type(error).__name__}: {first_line(error)}")
            continue
        if not allow_non_finite:
            _check_finite({**(built.wanted or {}), **found})
        if built.wanted is None or not wishes.compare:
            return attempt, built, None
        comparison = compare(
            built.inputs or {},
            built.wanted,
            found,
            classifies=conversion.classifies,
            difference_max=wishes.difference_max,
            label_agreement_min=wishes.label_agreement_min,
        )
        if not comparison.reasons:
            return attempt, built, comparison
        others.append((attempt, comparison))
    if not others:
        raise UnsupportedModelError(_no_graph(conversion, failed))
    attempt, closest = min(others, key=lambda other: _distance(other[1]))
    raise ConversionDiffersError(
        f"the graph does not answer as the model does, and is not published (converted as {attempt.words}, which came "
        f"closest): {'; '.join(closest.reasons[:REASONS_SHOWN])}{conversion.hint}; difference_max allows more, as a "
        "part of the largest number of an output"
    )


def _distance(comparison: Comparison) -> tuple[float, float]:
    agreement = 1.0 if comparison.label_agreement is None else comparison.label_agreement
    return (1.0 - agreement, max((each.relative for each in comparison.differences), default=0.0))


def _no_graph(conversion: Conversion, failed: Sequence[str]) -> str:
    return (
        f"{conversion.converter or 'nothing'} makes no graph of this model ({'; '.join(failed[:REASONS_SHOWN])}): "
        "replace the step that it does not know, register a converter for it (skl2onnx.update_registered_converter), "
        "or hand in the path of an ONNX graph that was made by other means"
    )


def _check_finite(outputs: Mapping[str, Array]) -> None:
    for name, array in outputs.items():
        values = np.asarray(array)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0]) if values.ndim else 0
            raise UnsupportedModelError(
                f"the model answers NaN or infinity for row {row} of the example (output {name!r}); if that is an "
                "answer, say allow_non_finite=True"
            )


def _options(conversion: Conversion, built: Built, wishes: Wishes, allow_non_finite: bool) -> ModelOptions:
    labels = conversion.labels if wishes.labels is None else tuple(wishes.labels)
    usual = {name: tuple(shape) for name, shape in wishes.warm_up.items()}
    for name, given in graph_inputs(built.file).items() if built.inputs is not None else ():
        shape = given.usual(tuple(np.shape((built.inputs or {})[name])))
        if shape is not None:
            usual.setdefault(name, shape)
    return ModelOptions(labels=labels, warm_up=usual, batching=wishes.batching, allow_non_finite=allow_non_finite)


def _tags(conversion: Conversion, attempt: Attempt) -> dict[str, str]:
    tags = {"framework": conversion.framework, "framework_version": conversion.framework_version}
    if conversion.converter is not None:
        tags |= {
            "converter": conversion.converter,
            "converter_version": conversion.converter_version,
            "conversion": attempt.words,
        }
    return tags


def _environment(conversion: Conversion) -> dict[str, str]:
    found = {"python": platform.python_version(), conversion.framework: conversion.framework_version}
    if conversion.converter is not None:
        found[conversion.converter] = conversion.converter_version
    return found
