"""What `doctor` finds: by topics, clocks, disk and workers as they are handed in."""

from datetime import UTC, datetime, timedelta

from hotswap_events.inference.fleet import ObservationsLost
from hotswap_events.topics import Topics
from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.monitoring.findings import (
    FREE_BYTES_MIN,
    by_weight,
    clock_findings,
    disk_findings,
    fleet_findings,
    topic_findings,
)
from hotswap_stream.application.topics.check import SettingFound, TopicFacts, differences
from hotswap_stream.domain.state.model import ModelState

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REGISTRY = Topics().control_specs()[0]


def worker(name: str = "w1", *, live: bool = True, **fields: object) -> FleetWorker:
    return FleetWorker(
        worker=name,
        live=live,
        silent_seconds=1.0 if live else 90.0,
        seen_at=NOW - timedelta(seconds=1),
        registry_offset=1,
        serving_version="v1",
        serving_registry_offset=1,
        versions={},
        partitions=(),
        observations_lost=ObservationsLost(),
        **fields,  # type: ignore[arg-type]
    )


def test_settings_that_lose_data_must_be_mended_and_weak_ones_should() -> None:
    right = {setting.name: SettingFound(setting.value, own=True) for setting in REGISTRY.settings(brokers=3)}
    wrong = right | {
        "unclean.leader.election.enable": SettingFound("true", own=False),
        "min.insync.replicas": SettingFound("1", own=True),
    }
    facts = TopicFacts(name=REGISTRY.name, partitions=1, replicas=3, settings=wrong)
    found = topic_findings([(facts, differences(REGISTRY, facts, brokers=3))], (), REGISTRY.name, embedded=False)
    assert [(each.weight, each.found.partition(" is ")[0]) for each in by_weight(found)] == [
        ("must", "unclean.leader.election.enable"),
        ("should", "min.insync.replicas"),
    ]
    assert {each.do for each in found} == {"hotswap-stream topics --repair"}
    fine = TopicFacts(name=REGISTRY.name, partitions=1, replicas=3, settings=right)
    assert not topic_findings([(fine, differences(REGISTRY, fine, brokers=3))], (), REGISTRY.name, embedded=False)


def test_a_log_with_one_replica_or_unseen_settings_is_told_but_not_of_an_embedded_broker() -> None:
    facts = TopicFacts(name=REGISTRY.name, partitions=1, replicas=1, settings=None)
    found = topic_findings([(facts, [])], (), REGISTRY.name, embedded=False)
    assert [each.found for each in found] == [
        "this client may not see its settings",
        "the log has 1 replica: it is lost with that broker's disk",
    ]
    assert len(topic_findings([(facts, [])], (), REGISTRY.name, embedded=True)) == 1
    (missing,) = topic_findings([], [REGISTRY.name], REGISTRY.name, embedded=True)
    assert (missing.weight, missing.do) == ("must", "hotswap-stream topics")


def test_clocks_are_compared_by_live_workers_alone() -> None:
    now_s = NOW.timestamp()
    assert not clock_findings([worker()], now_s + 4)
    assert not clock_findings([], now_s + 100)
    assert not clock_findings([worker(live=False)], now_s + 100)
    (ahead,) = clock_findings([worker(), worker("w2")], now_s + 60)
    assert ahead.found.startswith("this machine's is 60 s ahead of the broker's")
    (behind,) = clock_findings([worker()], now_s - 60)
    assert "60 s behind" in behind.found


def test_a_disk_that_is_full_and_a_home_that_is_not_ours_must_be_mended() -> None:
    assert not disk_findings(FREE_BYTES_MIN, "/srv", writable=True)
    found = disk_findings(FREE_BYTES_MIN - 1, "/srv", writable=False, broker_warning="90 % full")
    assert [(each.weight, each.about) for each in found] == [
        ("must", "home"),
        ("must", "disk"),
        ("must", "disk of the broker"),
    ]


def test_workers_that_lack_something_and_mixed_releases_are_told() -> None:
    digits, idle = ModelState("digits", active_version="v1"), ModelState("idle")
    workers = [
        worker(release="1.0", trouble="stands still", advice="mend the topics"),
        worker("gone", live=False, release="0.9"),
    ]
    models = {"digits": (digits, workers), "idle": (idle, []), "lost": (digits, [])}
    found = by_weight(fleet_findings(models, "1.1"))
    assert [(each.weight, each.about, each.found) for each in found] == [
        ("must", "model digits", "worker 'w1': stands still"),
        ("must", "model lost", "no worker answers"),
        ("should", "model digits", "mend the topics"),
        ("should", "model digits", "worker 'gone' fell silent 90 s ago"),
        ("should", "releases", "1.0, 1.1 run beside each other"),
    ]
