"""`MLmodel`: the file that says what a directory holds. It is YAML from outside, so it is measured before."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_stream.application.mlflow.importing.folder import plain_name
from hotswap_stream.application.mlflow.source import SourceRefusedError

MLMODEL = "MLmodel"
MLMODEL_BYTES_MAX = 1024**2
DEPTH_MAX = 32
NODES_MAX = 50_000
"""Nodes in the whole file, each reference counted with all that it stands for."""
_FLAVORS_MAX = 32


class SavedExample(Struct, frozen=True, kw_only=True):
    """Example rows that were logged with the model."""

    artifact_path: str
    type: str = ""
    """`ndarray`, `dataframe`, …"""
    pandas_orient: str | None = None


class MlSignature(Struct, frozen=True, kw_only=True):
    """What goes in, as MLflow writes it."""

    inputs: str | None = None
    """JSON."""


class MlModel(Struct, frozen=True, kw_only=True):
    """What an `MLmodel` file says, as far as it is of use here."""

    flavors: dict[str, dict[str, Any]]
    model_id: str | None = None
    run_id: str | None = None
    mlflow_version: str | None = None
    saved_input_example_info: SavedExample | None = None
    signature: MlSignature | None = None
    metadata: Any = None
    """What whoever saved it had to say."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, where an export of this product says them."""
        ours = self.metadata.get("hotswap") if isinstance(self.metadata, dict) else None
        labels = ours.get("labels") if isinstance(ours, dict) else None
        return tuple(map(str, labels)) if isinstance(labels, list) else ()


def read_mlmodel(content: bytes) -> MlModel:
    """Return what an `MLmodel` file says.

    Raises:
        SourceRefusedError: It is none, or more than can be meant.
    """
    import yaml

    if len(content) > MLMODEL_BYTES_MAX:
        raise SourceRefusedError(f"{MLMODEL} has {len(content)} bytes; at most {MLMODEL_BYTES_MAX} are read")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = content.decode()
        _measure(yaml.parse(text, Loader=loader))
        # A safe loader: it makes plain values and nothing else.
        found = yaml.load(text, Loader=loader)  # noqa: S506
        model = msgspec.convert(found, MlModel)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SourceRefusedError(f"{MLMODEL} cannot be read: {first[:300]}") from error
    if not 1 <= len(model.flavors) <= _FLAVORS_MAX:
        raise SourceRefusedError(f"{MLMODEL} names {len(model.flavors)} flavors; 1 to {_FLAVORS_MAX} are read")
    if model.saved_input_example_info is not None:
        plain_name(model.saved_input_example_info.artifact_path, "the input example")
    return model


def _measure(events: Iterator[Any]) -> None:
    """Raise SourceRefusedError if the file is deeper or larger than an `MLmodel` is, references written out."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[list[Any]] = []  # [anchor, nodes in it]
    total = 0
    for event in events:
        nodes = 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise SourceRefusedError(f"{MLMODEL} refers to {event.anchor[:100]!r} within itself")
            nodes = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            nodes = 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append([event.anchor, 0])
            if len(open_nodes) > DEPTH_MAX:
                raise SourceRefusedError(f"{MLMODEL} is deeper than {DEPTH_MAX} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, within = open_nodes.pop()
            nodes = within + 1
            if anchor:
                sizes[anchor] = nodes
        if open_nodes:
            open_nodes[-1][1] += nodes
        total = max(total, nodes)
        if total > NODES_MAX or (open_nodes and open_nodes[-1][1] > NODES_MAX):
            raise SourceRefusedError(f"{MLMODEL} has more than {NODES_MAX} values, its references written out")
