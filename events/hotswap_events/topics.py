"""Topic names and settings. Two environments side by side on one cluster are two prefixes."""

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.dataset import RequestRetention
from hotswap_events.topic_settings import FOR_EVER, TopicSetting

REQUEST_PARTITIONS = 8
"""Partitions of a model's request and response topics; at least 4 keep latency low with 50 requests in flight."""

SEGMENT_MS_MIN = 15_000
_DAY_MS = 24 * 60 * 60 * 1000
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ROLE = re.compile(
    r"[^.]+\.(registry|registry-state|commands|command-results|fleet|keys|dead-letters|observations|comparisons|feedback"
    r"|evidence|training-progress|requests|responses|windows|workers|agents)(\..*)?",
    re.DOTALL,
)


class TopicSpec(Struct, frozen=True, kw_only=True):
    """How a topic is created. `replicas` is capped by the number of brokers."""

    name: str
    partitions: int
    cleanup_policy: Literal["delete", "compact"]
    retention_ms: int
    """-1 keeps records for ever; ignored by compacted topics."""
    retention: RequestRetention | None = None
    """Set for the model; it takes the place of `retention_ms`."""
    append_time: bool = False
    """Stamp records with the broker's clock: needed where `as of a time` is asked."""
    replicas: int = 3
    message_bytes_max: int = 1_048_576
    other_counts_served: bool = False
    """A topic that has another number of partitions than this is used as it is, too."""

    def config(self, *, brokers: int) -> dict[str, str]:
        """Return the topic's configuration for a cluster of `brokers` nodes."""
        return {setting.name: setting.value for setting in self.settings(brokers=brokers)}

    def settings(self, *, brokers: int) -> tuple[TopicSetting, ...]:
        """Return what the topic is created with on a cluster of `brokers` nodes, and what of it must stay so."""
        return (
            *self._kept(),
            TopicSetting(
                name="message.timestamp.type",
                value="LogAppendTime" if self.append_time else "CreateTime",
                serves="a record's time is that of the broker's clock, whatever its writer's says",
                needed="exactly" if self.append_time else "nothing",
            ),
            TopicSetting(
                name="max.message.bytes",
                value=str(self.message_bytes_max),
                serves="records of that size are taken",
                needed="at-least",
            ),
            TopicSetting(
                name="min.insync.replicas",
                value=str(max(1, min(self.replicas, brokers) - 1)),
                serves="what was acknowledged outlives a broker",
                needed="at-least",
                breaks=False,
            ),
            TopicSetting(
                name="unclean.leader.election.enable",
                value="false",
                serves="what was acknowledged is not cut off by a broker that lacks it",
            ),
            TopicSetting(
                name="compression.type",
                value="producer",
                serves="records stay in the compression of their writer, which every reader here can read",
            ),
        )

    def _kept(self) -> tuple[TopicSetting, ...]:
        """Return the settings that say what of the topic is deleted, and when."""
        policy = TopicSetting(
            name="cleanup.policy",
            value=self.cleanup_policy,
            serves="the last record of each key is kept, whatever its age"
            if self.cleanup_policy == "compact"
            else "no record is dropped because a later one has its key",
        )
        retention = TopicSetting(name="retention.ms", value=str(self.retention_ms), serves="the log is kept for ever")
        if self.cleanup_policy == "compact":
            return (
                policy,
                replace(retention, needed="nothing"),
                TopicSetting(
                    name="delete.retention.ms",
                    value=str(_DAY_MS),
                    serves="who reads the topic anew sees deletions that happen meanwhile",
                    needed="at-least",
                    breaks=False,
                ),
            )
        if self.retention is not None:
            return policy, *_kept_so_long(self.retention, self.message_bytes_max)
        if self.retention_ms < 0:
            size = TopicSetting(name="retention.bytes", value=FOR_EVER, serves="the log is kept for ever, at any size")
            return policy, retention, size
        days = f"records are kept for {self.retention_ms // _DAY_MS} days"
        return policy, replace(retention, serves=days, needed="at-least", breaks=False)


def _kept_so_long(kept: RequestRetention, message_bytes_max: int) -> tuple[TopicSetting, ...]:
    """Return what makes the broker delete what is older or more: it deletes whole files, and never the newest one."""
    until_ms = kept.seconds * 1_000
    values = {
        "retention.ms": until_ms,
        "retention.bytes": -1 if kept.partition_bytes is None else kept.partition_bytes,
        "segment.ms": min(7 * _DAY_MS, max(SEGMENT_MS_MIN, until_ms // 4)),
    }
    if kept.partition_bytes is not None:
        values["segment.bytes"] = min(2**30, max(message_bytes_max, kept.partition_bytes // 4))
    return tuple(
        TopicSetting(name=name, value=str(value), serves="records are kept as long as was set", breaks=False)
        for name, value in values.items()
    )


class Topics(Struct, frozen=True):
    """The topics of one environment."""

    prefix: str = "hotswap"

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"topic prefix {self.prefix!r} is not valid: lower-case letters, digits and '-', starting with a "
                "letter or digit, at most 63 characters"
            )

    @property
    def registry(self) -> str:
        """The log: every registry change, one partition, for ever."""
        return f"{self.prefix}.registry"

    @property
    def registry_state(self) -> str:
        """Compacted: the latest readable state of each model."""
        return f"{self.prefix}.registry-state"

    @property
    def commands(self) -> str:
        """Commands, keyed by model name."""
        return f"{self.prefix}.commands"

    @property
    def command_results(self) -> str:
        """What became of each command, keyed by model name."""
        return f"{self.prefix}.command-results"

    @property
    def fleet(self) -> str:
        """Compacted: which worker holds which versions in which state, keyed by worker and model."""
        return f"{self.prefix}.fleet"

    @property
    def keys(self) -> str:
        """Compacted: API keys, without their secrets, keyed by their ids."""
        return f"{self.prefix}.keys"

    @property
    def training_progress(self) -> str:
        """Compacted: how far each training run is, as its runner saw it last, keyed by run id."""
        return f"{self.prefix}.training-progress"

    @property
    def dead_letters(self) -> str:
        """Copies of records that could not be handled, with the cause in the headers."""
        return f"{self.prefix}.dead-letters"

    @property
    def observations(self) -> str:
        """What the workers saw of their answers, a record per second and version, keyed by model name."""
        return f"{self.prefix}.observations"

    @property
    def comparisons(self) -> str:
        """Requests as both the primary and a shadow answered them, keyed by model name; a sample."""
        return f"{self.prefix}.comparisons"

    @property
    def feedback(self) -> str:
        """What turned out later about answers, keyed by model name."""
        return f"{self.prefix}.feedback"

    @property
    def evidence(self) -> str:
        """What rollouts that go on show, once a second, keyed by model name."""
        return f"{self.prefix}.evidence"

    def requests(self, model_name: str) -> str:
        """Requests for one model."""
        return f"{self.prefix}.requests.{model_name}"

    def responses(self, model_name: str) -> str:
        """Answers of one model; the answer to a request in partition p is in partition p."""
        return f"{self.prefix}.responses.{model_name}"

    def workers_group(self, model_name: str) -> str:
        """The consumer group of the workers that answer one model's requests."""
        return f"{self.prefix}.workers.{model_name}"

    @property
    def datasets_group(self) -> str:
        """The group that whoever builds a dataset names when it reads; it is no member of it and commits nothing."""
        return f"{self.prefix}.datasets"

    def replies(self, name: str) -> str:
        """Where callers may have copies of answers sent; they make the topic themselves."""
        return f"{self.prefix}.replies.{name}"

    def windows(self, model_name: str) -> str:
        """Compacted: the rolling windows of one model's series; only where a version takes windows."""
        return f"{self.prefix}.windows.{model_name}"

    def control_specs(self) -> tuple[TopicSpec, ...]:
        """Return the topics that exist whatever models there are."""
        return (
            TopicSpec(name=self.registry, partitions=1, cleanup_policy="delete", retention_ms=-1, append_time=True),
            TopicSpec(name=self.registry_state, partitions=1, cleanup_policy="compact", retention_ms=-1),
            TopicSpec(name=self.commands, partitions=4, cleanup_policy="delete", retention_ms=7 * _DAY_MS),
            TopicSpec(name=self.command_results, partitions=4, cleanup_policy="delete", retention_ms=7 * _DAY_MS),
            # One clock tells how much older a worker's record is than the newest one.
            TopicSpec(name=self.fleet, partitions=1, cleanup_policy="compact", retention_ms=-1, append_time=True),
            TopicSpec(name=self.keys, partitions=1, cleanup_policy="compact", retention_ms=-1),
            TopicSpec(
                name=self.training_progress,
                partitions=1,
                cleanup_policy="compact",
                retention_ms=-1,
                append_time=True,
            ),
            TopicSpec(name=self.dead_letters, partitions=4, cleanup_policy="delete", retention_ms=30 * _DAY_MS),
            # By the broker's clock: a rollout's policy is tried again on what lies between two times.
            TopicSpec(
                name=self.observations,
                partitions=4,
                cleanup_policy="delete",
                retention_ms=90 * _DAY_MS,
                append_time=True,
            ),
            TopicSpec(name=self.comparisons, partitions=4, cleanup_policy="delete", retention_ms=7 * _DAY_MS),
            # It tells how far the agents have read, whatever the clocks of those who judge.
            TopicSpec(
                name=self.feedback, partitions=4, cleanup_policy="delete", retention_ms=90 * _DAY_MS, append_time=True
            ),
            # By the broker's clock: readers begin some hours ago, whatever a writer's clock says.
            TopicSpec(
                name=self.evidence, partitions=4, cleanup_policy="delete", retention_ms=7 * _DAY_MS, append_time=True
            ),
        )

    def model_specs(
        self, model_name: str, *, partitions: int = REQUEST_PARTITIONS, retention: RequestRetention | None = None
    ) -> tuple[TopicSpec, ...]:
        """Return the pair of topics of one model, with the same partition count.

        Args:
            model_name: The model.
            partitions: Of each of the two.
            retention: How long records are kept, if that was set for the model.
        """
        return tuple(
            TopicSpec(
                name=name,
                partitions=partitions,
                cleanup_policy="delete",
                retention_ms=7 * _DAY_MS,
                retention=retention,
                message_bytes_max=8 * 1_048_576,
                other_counts_served=True,
                # The time of an answer is comparable with that of a registry event only by the same clock.
                append_time=name == self.responses(model_name),
            )
            for name in (self.requests(model_name), self.responses(model_name))
        )

    def windows_specs(self, model_name: str, *, partitions: int = REQUEST_PARTITIONS) -> tuple[TopicSpec, ...]:
        """Return the topic of windows, with as many partitions as the model's requests. Made once it is needed."""
        return (
            TopicSpec(
                name=self.windows(model_name),
                partitions=partitions,
                cleanup_policy="compact",
                retention_ms=-1,
                other_counts_served=True,
            ),
        )


def role_of(topic: str) -> str | None:
    """Return what a topic of this name is for in some environment, whatever its prefix; None: it is not ours."""
    found = _ROLE.fullmatch(topic)
    return None if found is None else found.group(1)
