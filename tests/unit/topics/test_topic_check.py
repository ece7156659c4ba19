"""Topics as a cluster may have them, against what is promised of them."""

from collections.abc import Mapping

import pytest

from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream.application.topics.check import (
    SettingFound,
    TopicFacts,
    TopicSettingsError,
    differences,
    mending_command,
    refuse_broken,
    to_set,
)

SPECS = {spec.name.removeprefix("hotswap."): spec for spec in Topics().control_specs()}


def as_needed(spec: TopicSpec, changes: Mapping[str, str] | None = None, *, brokers: int = 3) -> TopicFacts:
    """The topic as it was made, but for these settings."""
    values = spec.config(brokers=brokers) | {name.replace("_", "."): value for name, value in (changes or {}).items()}
    return TopicFacts(
        name=spec.name,
        partitions=spec.partitions,
        replicas=min(brokers, spec.replicas),
        settings={name: SettingFound(value, True) for name, value in values.items()},
    )


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("brokers", [1, 2, 3, 9])
def test_a_topic_as_it_is_made_differs_in_nothing(name: str, brokers: int) -> None:
    assert differences(SPECS[name], as_needed(SPECS[name], brokers=brokers), brokers=brokers) == []


@pytest.mark.parametrize(
    ("name", "setting", "value", "breaks"),
    [
        ("registry", "retention_ms", "604800000", True),
        ("registry", "retention_bytes", "1073741824", True),
        ("registry", "cleanup_policy", "compact,delete", True),
        ("registry", "message_timestamp_type", "CreateTime", True),
        ("registry", "max_message_bytes", "1000", True),
        ("registry", "unclean_leader_election_enable", "true", True),
        ("registry", "compression_type", "zstd", True),
        ("registry", "min_insync_replicas", "1", False),
        ("fleet", "cleanup_policy", "delete", True),
        ("fleet", "delete_retention_ms", "1000", False),
        ("observations", "message_timestamp_type", "CreateTime", True),
        ("commands", "retention_ms", "1000", False),
        ("commands", "cleanup_policy", "compact", True),
    ],
)
def test_what_breaks_a_promise_and_what_only_weakens_it(name: str, setting: str, value: str, breaks: bool) -> None:
    spec = SPECS[name]
    (found,) = differences(spec, as_needed(spec, {setting: value}), brokers=3)
    assert (found.setting, found.found, found.breaks) == (setting.replace("_", "."), value, breaks)
    if breaks:
        with pytest.raises(TopicSettingsError, match=f"{setting.replace('_', '.')} is {value}"):
            refuse_broken([found], "broker:9092")
    else:
        refuse_broken([found], "broker:9092")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("commands", "retention_ms", "-1"),
        ("commands", "retention_bytes", "1073741824"),  # how much is kept of it is the operator's to say
        ("commands", "message_timestamp_type", "LogAppendTime"),
        ("commands", "max_message_bytes", "10485760"),
        ("registry", "min_insync_replicas", "3"),
        ("fleet", "retention_ms", "604800000"),  # a compacted topic does not look at it
    ],
)
def test_what_is_more_than_needed_is_left_alone(name: str, setting: str, value: str) -> None:
    assert differences(SPECS[name], as_needed(SPECS[name], {setting: value}), brokers=3) == []


def test_other_partitions_and_fewer_replicas_are_told_of_and_no_setting_mends_them() -> None:
    spec = SPECS["commands"]
    facts = TopicFacts(name=spec.name, partitions=1, replicas=1, settings=as_needed(spec).settings)
    partitions, replicas = differences(spec, facts, brokers=3)
    assert (partitions.setting, partitions.breaks) == ("partitions", True)
    assert (replicas.setting, replicas.breaks) == ("replicas", False)
    assert mending_command(spec.name, [partitions, replicas], "broker:9092") is None
    refuse_broken([partitions, replicas], "broker:9092")


def test_repair_sets_what_differs_and_pins_what_is_borrowed() -> None:
    spec = SPECS["registry"]
    settings = dict(as_needed(spec, {"retention_ms": "1"}).settings or {})
    settings["retention.bytes"] = SettingFound("-1", False)
    settings["min.insync.replicas"] = SettingFound("2", False)
    facts = TopicFacts(name=spec.name, partitions=1, replicas=3, settings=settings)
    assert to_set(spec, facts, brokers=3) == {"retention.ms": "-1", "retention.bytes": "-1"}


def test_settings_that_may_not_be_seen_are_not_judged() -> None:
    spec = SPECS["registry"]
    facts = TopicFacts(name=spec.name, partitions=1, replicas=3, settings=None)
    assert differences(spec, facts, brokers=3) == []
    assert to_set(spec, facts, brokers=3) == {}
