"""Windows of series whose keys went to a new partition when the topics grew: they follow their keys.

A new partition that has no windows of its own yet begins with those of its keys in the partitions where they were, once
clients do not send there any more, and these hold all requests that are there then. See docs/guides/grow-topics.md.
"""

import threading
import time
from collections.abc import Collection, Mapping

import structlog

from hotswap_events.inference.windows import CLIENTS_NOTICE_SECONDS_MAX, WindowRecord, WindowsMarker
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.kafka.topic_partitions import former_partitions, key_partition
from hotswap_stream.workers.inference.windows.partition import PartitionWindows
from hotswap_stream.workers.inference.windows.reading import TopicReader
from hotswap_stream.workers.inference.windows.window import Window, window_of

_log = structlog.get_logger(__name__)

KEPT_SECONDS_MAX = 5.0
"""How long the former partitions have to write down what their last requests brought. They do so each second."""
_POLL_SECONDS = 0.3


def inherit(
    found: Mapping[int, PartitionWindows],
    reader: TopicReader,
    *,
    topic: str,
    request_topic: str,
    stopping: threading.Event,
) -> None:
    """Let partitions that never had windows begin with those of their keys. Blocking. KafkaException.

    Args:
        found: The windows of partitions that are taken over, as the topic has them.
        reader: Reads both topics.
        topic: The topic of the windows.
        request_topic: The topic of the requests.
        stopping: Set when the worker is to stop.
    """
    partitions = reader.count(request_topic)
    former = {number: former_partitions(number, partitions) for number, each in found.items() if each.rule is None}
    wanted = sorted({parent for parents in former.values() for parent in parents})
    if not wanted:
        return
    began_s = time.monotonic()
    folds: Mapping[int, WindowFold[WindowRecord]] = reader.windows(topic, wanted)
    if not any(_series(folds[parent], number, partitions) for number, parents in former.items() for parent in parents):
        return
    # Until then clients may send to the former partitions, which were there when this one was made.
    stopping.wait(max(0.0, began_s + CLIENTS_NOTICE_SECONDS_MAX + 1.0 - time.monotonic()))
    folds = _written_down(wanted, found.keys(), reader, topic, request_topic, stopping)
    for number, parents in former.items():
        markers = [marker for parent in parents if (marker := folds[parent].marker) is not None]
        if not markers:
            continue
        series: dict[bytes, Window] = {}
        for parent in parents:  # a key was in the one with the highest number last
            series |= _series(folds[parent], number, partitions)
        found[number].inherit(series.items(), max(markers, key=_rule_number))
        _log.info("windows_inherited", topic=topic, partition=number, windows=len(series), of_partitions=parents)


def _written_down(
    wanted: Collection[int],
    taken_over: Collection[int],
    reader: TopicReader,
    topic: str,
    request_topic: str,
    stopping: threading.Event,
) -> Mapping[int, WindowFold[WindowRecord]]:
    """Return what is kept of partitions, once that holds all requests that are there now; else what is there then."""
    ends = {partition: reader.end(request_topic, partition) for partition in wanted}
    give_up_s = time.monotonic() + KEPT_SECONDS_MAX
    while True:
        folds = reader.windows(topic, list(wanted))
        late = [
            partition
            for partition, fold in folds.items()
            # Nobody writes down what those bring that are taken over right here.
            if fold.marker is not None and fold.marker.next_offset < ends[partition] and partition not in taken_over
        ]
        if not late or time.monotonic() > give_up_s or stopping.wait(_POLL_SECONDS):
            if late:
                _log.warning("windows_inherited_early", topic=topic, partitions=late)
            return folds


def _series(fold: WindowFold[WindowRecord], partition: int, partitions: int) -> dict[bytes, Window]:
    found = {}
    for key, record, _writers in fold.windows():
        if key_partition(key, partitions) == partition:
            try:
                found[key] = window_of(record, ())
            except ValueError as error:
                _log.error("window_unreadable", key=key, error=str(error))
    return found


def _rule_number(marker: WindowsMarker) -> int:
    return marker.rule_number
