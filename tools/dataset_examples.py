"""Example commands on datasets, and on how long requests are kept."""

from collections.abc import Callable, Sequence
from typing import Any

from hotswap_events.commands import AnyCommand, RecordDataset, SetRequestRetention
from hotswap_events.dataset import DatasetCounts, DatasetQuery, DatasetSplit, OffsetRange, RequestRetention
from hotswap_events.inference.signature import TensorSignature

By = Callable[..., dict[str, Any]]
"""Command id and reason → the fields common to all commands."""


def dataset_commands(by: By) -> Sequence[AnyCommand]:
    """Return commands on a model that exists."""
    return (
        RecordDataset(
            **by(command_id="c-91", reason="what the sorters typed in last week"),
            artifact_digest="sha256:" + "a" * 64,
            size_bytes=31_409_216,
            dataset_name="week-12",
            query=DatasetQuery(
                ranges=(
                    OffsetRange(partition=0, first=1_200, until=6_300),
                    OffsetRange(partition=1, first=1_180, until=6_290),
                ),
                feedback=(OffsetRange(partition=3, first=0, until=10_400),),
                inputs=(TensorSignature(name="image", datatype="FP32", shape=(-1, 784)),),
                truth="label",
                split=DatasetSplit(begin=0.0, end=0.8, seed="2026"),
            ),
            counts=DatasetCounts(requests=10_210, rows=8_012, unlabelled=120, contradicting=31, other_part=2_047),
        ),
        SetRequestRetention(**by(command_id="c-92"), retention=RequestRetention(seconds=14 * 86_400)),
    )
