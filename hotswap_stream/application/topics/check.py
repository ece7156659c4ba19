"""Topics as the cluster has them, against what is promised of them."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hotswap_events.topics import TopicSpec
from hotswap_stream.errors import ConfigurationError


class TopicSettingsError(ConfigurationError):
    """A topic's settings break a promise; the message names each, what is needed, and the commands that mend it."""


class SettingFound(Struct, frozen=True):
    """A setting in force."""

    value: str
    own: bool
    """Set for this topic; otherwise it is the cluster's default, and changes with that."""


class TopicFacts(Struct, frozen=True, kw_only=True):
    """A topic as the cluster describes it."""

    name: str
    partitions: int
    replicas: int
    """Replicas of the partition that has the fewest."""
    settings: Mapping[str, SettingFound] | None
    """None: this client may not ask for them."""


class Difference(Struct, frozen=True, kw_only=True):
    """What of a topic is not as it is needed."""

    topic: str
    setting: str
    """`partitions` and `replicas` too."""
    found: str
    needed: str
    serves: str
    breaks: bool
    """Whether a promise is broken; otherwise it is only weaker."""
    value: str | None = None
    """What to set it to; None: no setting mends it."""

    def __str__(self) -> str:
        return f"{self.setting} is {self.found}, {self.needed} is needed ({self.serves})"


def differences(spec: TopicSpec, facts: TopicFacts, *, brokers: int) -> list[Difference]:
    """Return what differs, the broken first."""
    found: list[Difference] = []
    if facts.partitions != spec.partitions:
        found.append(
            Difference(
                topic=spec.name,
                setting="partitions",
                found=str(facts.partitions),
                needed=str(spec.partitions),
                serves="keys and answers are found in their partition",
                breaks=not spec.other_counts_served,
            )
        )
    replicas = min(spec.replicas, brokers)
    if facts.replicas < replicas:
        found.append(
            Difference(
                topic=spec.name,
                setting="replicas",
                found=str(facts.replicas),
                needed=str(replicas),
                serves="what was acknowledged outlives a broker; kafka-reassign-partitions.sh adds some",
                breaks=False,
            )
        )
    found += [
        Difference(
            topic=spec.name,
            setting=setting.name,
            found=in_force.value,
            needed=setting.need,
            serves=setting.serves,
            breaks=setting.breaks,
            value=setting.value,
        )
        for setting in spec.settings(brokers=brokers)
        if (in_force := (facts.settings or {}).get(setting.name)) is not None and not setting.met_by(in_force.value)
    ]
    return sorted(found, key=lambda each: not each.breaks)


def to_set(spec: TopicSpec, facts: TopicFacts, *, brokers: int) -> dict[str, str]:
    """Return the settings that mend the topic: those that differ, and those right only by the cluster's default.

    That default may change.
    """
    wrong = {each.setting: each.value for each in differences(spec, facts, brokers=brokers) if each.value is not None}
    borrowed = {
        setting.name: setting.value
        for setting in spec.settings(brokers=brokers)
        if setting.breaks
        and setting.needed != "nothing"
        and (in_force := (facts.settings or {}).get(setting.name)) is not None
        and not in_force.own
    }
    return borrowed | wrong


def mending_command(topic: str, found: Iterable[Difference], bootstrap_servers: str) -> str | None:
    """Return the line for Kafka's own tool; None where no setting mends it."""
    settings = [f"{each.setting}={each.value}" for each in found if each.value is not None]
    if not settings:
        return None
    return (
        f"kafka-configs.sh --bootstrap-server {bootstrap_servers} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {','.join(settings)}"
    )


def refuse_broken(found: Sequence[Difference], bootstrap_servers: str) -> None:
    """Check that no promise is broken.

    Raises:
        TopicSettingsError: One is.
    """
    broken = [each for each in found if each.breaks and each.value is not None]
    if not broken:
        return
    lines = []
    for topic in dict.fromkeys(each.topic for each in broken):
        of_topic = [each for each in broken if each.topic == topic]
        lines.append(f"topic {topic!r} does not keep what is promised: {'; '.join(map(str, of_topic))}")
    lines.append("`hotswap-stream topics --repair` sets what is needed and leaves other settings alone; so does")
    lines += [
        command
        for topic in dict.fromkeys(each.topic for each in broken)
        if (command := mending_command(topic, [each for each in broken if each.topic == topic], bootstrap_servers))
    ]
    lines.append("What was deleted or cut off meanwhile does not come back; `hotswap-stream audit verify` tells.")
    raise TopicSettingsError("\n".join(lines))
