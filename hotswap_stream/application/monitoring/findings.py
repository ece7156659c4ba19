"""What somebody should mend in a deployment, and how. Pure: what is looked at comes in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.topics.check import Difference, TopicFacts
from hotswap_stream.application.windows.split import SplitSeries
from hotswap_stream.domain.state.model import ModelState

CLOCKS_SECONDS_MAX = 5.0
"""Alerts are blind for longer differences: they judge by the broker's clock."""
FREE_BYTES_MIN = 1024**3
REPLICAS_MIN = 2

Weight = Literal["must", "should"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    weight: Weight
    """`must`: something is lost, or does not work, or soon will not. `should`: it is only weaker."""
    about: str
    found: str
    do: str
    """What mends it: a command where there is one."""


def topic_findings(
    checked: Iterable[tuple[TopicFacts, Sequence[Difference]]], missing: Iterable[str], registry: str, *, embedded: bool
) -> list[Finding]:
    """Return what of the topics is not as it is needed.

    Args:
        checked: Each topic that is there, with what differs.
        missing: Those that are needed and are not there.
        registry: The name of the log's topic.
        embedded: Whether the broker is this machine's embedded one, which has no others beside it.
    """
    found = [
        Finding(weight="must", about=f"topic {name}", found="it is not there", do="hotswap-stream topics")
        for name in missing
    ]
    for facts, different in checked:
        about = f"topic {facts.name}"
        for each in different:
            mends = "hotswap-stream topics --repair" if each.value is not None else "see docs/guides/own-cluster.md"
            found.append(Finding(weight="must" if each.breaks else "should", about=about, found=str(each), do=mends))
        if facts.settings is None:
            right = f"allow this user DescribeConfigs on {facts.name}"
            found.append(Finding(weight="should", about=about, found="this client may not see its settings", do=right))
        if facts.name == registry and facts.replicas < REPLICAS_MIN and not embedded:
            text = f"the log has {facts.replicas} replica: it is lost with that broker's disk"
            found.append(
                Finding(weight="should", about=about, found=text, do="add brokers, then kafka-reassign-partitions.sh")
            )
    return found


def clock_findings(workers: Iterable[FleetWorker], now_s: float) -> list[Finding]:
    """Return that this machine's clock and the broker's differ, by when live workers were heard.

    Args:
        workers: As they were heard just now.
        now_s: Seconds since 1970, by this machine's clock.
    """
    ahead = [now_s - each.silent_seconds - each.seen_at.timestamp() for each in workers if each.live]
    if not ahead or abs(differs_s := min(ahead, key=abs)) <= CLOCKS_SECONDS_MAX:
        return []
    which = "ahead of" if differs_s > 0 else "behind"
    text = f"this machine's is {abs(differs_s):.0f} s {which} the broker's; at most {CLOCKS_SECONDS_MAX:g} s are right"
    return [Finding(weight="must", about="clocks", found=text, do="let chrony or ntpd set the clocks of all machines")]


def disk_findings(free_bytes: int, folder: str, *, writable: bool, broker_warning: str = "") -> list[Finding]:
    """Return what of the home folder's disk, or of the embedded broker's, will stop the work."""
    found = []
    if not writable:
        text = f"{folder} cannot be written to"
        found.append(Finding(weight="must", about="home", found=text, do=f"chown it, or set HOTSWAP_HOME: {folder}"))
    if free_bytes < FREE_BYTES_MIN:
        text = f"{free_bytes / 1024**2:.0f} MiB are free at {folder}; {FREE_BYTES_MIN // 1024**2} are needed"
        found.append(Finding(weight="must", about="disk", found=text, do="free some, or move the home"))
    if broker_warning:
        found.append(Finding(weight="must", about="disk of the broker", found=broker_warning, do="free some"))
    return found


def fleet_findings(models: Mapping[str, tuple[ModelState, Sequence[FleetWorker]]], release: str) -> list[Finding]:
    """Return what workers lack, and releases that run beside each other.

    Args:
        models: Each model with its workers.
        release: That of whoever asks.
    """
    found, releases = [], {release}
    for name, (state, workers) in sorted(models.items()):
        about, show = f"model {name}", f"hotswap-stream fleet {name}"
        live = [worker for worker in workers if worker.live]
        if state.active_version is not None and not live:
            found.append(Finding(weight="must", about=about, found="no worker answers", do="hotswap-stream worker"))
        for worker in workers:
            if not worker.live:
                text = f"worker {worker.worker!r} fell silent {worker.silent_seconds:.0f} s ago"
                found.append(Finding(weight="should", about=about, found=text, do=show))
            elif worker.trouble is not None:
                text = f"worker {worker.worker!r}: {worker.trouble}"
                found.append(Finding(weight="must", about=about, found=text, do=show))
            if worker.live and worker.advice is not None:
                found.append(Finding(weight="should", about=about, found=worker.advice, do=show))
        releases |= {worker.release for worker in live if worker.release is not None}
    if len(releases) > 1:
        text = f"{', '.join(sorted(releases))} run beside each other"
        found.append(Finding(weight="should", about="releases", found=text, do="upgrade all processes to one release"))
    return found


def series_finding(model_name: str, split: SplitSeries) -> Finding | None:
    """Return that producers of a model hash its series differently, if they do."""
    if not split.count:
        return None
    return Finding(
        weight="must",
        about=f"model {model_name}",
        found=f"{split.count} of {split.of} series lie in several partitions, and their windows do not fill: "
        f"{'; '.join(split.examples)}",
        do="set one partitioner for all producers, for librdkafka partitioner=murmur2_random: "
        "docs/explanation/windows.md",
    )


def by_weight(found: Iterable[Finding]) -> list[Finding]:
    """Return those that must be mended first."""
    return sorted(found, key=lambda each: each.weight)
