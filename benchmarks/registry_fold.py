"""Folding the registry log, next to a bare msgspec decode loop of the same bytes.

    python -m benchmarks.registry_fold [EVENTS]

The history: models whose versions are trained, validated, promoted and superseded, every event with metrics, tags and
provenance as a trainer writes them. The fold decodes, checks sequence and digest, evolves and indexes; the comparison
decodes into the same typed envelopes and drops them. The second comparison also takes the SHA-256 of each value, which
the fold cannot leave out: the digest decides which event counts. Without SHA instructions in the processor it takes
longer than the decoding, and that alone puts 0.5 of the bare loop out of reach in one thread: hashlib holds the
interpreter lock for values below 2,048 bytes, so a second thread would not help.
"""

import gc
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

import psutil

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand, PromoteVersion, RegisterVersion, ValidateVersion
from hotswap_events.envelope import GENESIS
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve_in_place
from hotswap_stream.domain.state.model import ModelState

MODELS = 200
ROUNDS = 3
CHUNK = 5_000


def history(event_count: int) -> list[LogRecord]:
    """Return `event_count` events of `MODELS` interleaved streams, legal and chained."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    states = {f"model-{number}": ModelState(f"model-{number}") for number in range(MODELS)}
    heads = dict.fromkeys(states, GENESIS)
    records: list[LogRecord] = []
    version = 0
    while len(records) < event_count:
        version += 1
        for model_name in states:
            state = states[model_name]
            digest = f"sha256:{digest_of(f'{model_name}/{version}'.encode())}"
            name = f"v{version}"
            figures = {"accuracy": 0.97, "f1": 0.968, "latency_p95_ms": 1.25}
            command_id = f"{model_name}-{version}"
            commands: list[AnyCommand] = [
                RegisterVersion(
                    command_id=f"{command_id}-register",
                    actor="trainer",
                    model_name=model_name,
                    artifact=ArtifactFacts(digest=digest, size_bytes=110_248),
                    provenance=Provenance(
                        origin="trained",
                        created_by="trainer",
                        code_revision="4f0c2d1b9a",
                        data_snapshot=digest,
                        environment={"python": "3.11.7", "torch": "2.8.0"},
                    ),
                    run_id=f"run-{command_id}",
                    metrics=figures,
                    tags={"schedule": "nightly"},
                ),
                ValidateVersion(
                    command_id=f"{command_id}-validate",
                    actor="trainer",
                    model_name=model_name,
                    model_version=name,
                    validation_set=digest,
                    figures=figures,
                    baseline_version=state.active_version,
                    baseline_figures=figures if state.active_version else {},
                ),
                PromoteVersion(
                    command_id=f"{command_id}-promote", actor="operator", model_name=model_name, model_version=name
                ),
            ]
            for command in commands:
                decision = decide(state, command)
                assert isinstance(decision, Accepted), decision
                for data in decision.events:
                    envelope = REGISTRY_CODEC.envelope(
                        data,
                        id=f"{command.command_id}-event",
                        source="/hotswap/benchmark",
                        subject=model_name,
                        time=now,
                        sequence=state.sequence + 1,
                        previous=heads[model_name],
                        actor=command.actor,
                        causationid=command.command_id,
                        correlationid=command.command_id,
                    )
                    value = REGISTRY_CODEC.encode(envelope)
                    heads[model_name] = digest_of(value)
                    evolve_in_place(state, envelope)
                    records.append(LogRecord(len(records), 1, model_name.encode(), value))
    return records[:event_count]


def _rss_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 1_048_576


class _Round:
    """Seconds that each kind of work took; they take turns chunk by chunk, so that a busy machine hits all alike."""

    def __init__(self, records: Sequence[LogRecord]) -> None:
        self.fold = RegistryFold()
        before = _rss_mib()
        works = (self._decode, self._digest, self._apply)
        seconds = dict.fromkeys(works, 0.0)
        for number, start in enumerate(range(0, len(records), CHUNK)):
            chunk = records[start : start + CHUNK]
            for turn in range(len(works)):
                work = works[(number + turn) % len(works)]
                began = time.perf_counter()
                work(chunk)
                seconds[work] += time.perf_counter() - began
        self.decoding, self.digesting, self.folding = (seconds[work] for work in works)
        self.memory_mib = _rss_mib() - before
        assert self.fold.applied_count == len(records), self.fold.void_count

    def _decode(self, records: Sequence[LogRecord]) -> None:
        decode = REGISTRY_CODEC.decode
        for record in records:
            decode(record.value)

    def _digest(self, records: Sequence[LogRecord]) -> None:
        for record in records:
            digest_of(record.value or b"")

    def _apply(self, records: Sequence[LogRecord]) -> None:
        for record in records:
            self.fold.apply(record)


def run(event_count: int = 1_000_000) -> list[dict[str, object]]:
    """Return medians of the rounds, events/s; memory of the folded state in MiB."""
    records = history(event_count)
    gc.collect()
    gc.freeze()
    rounds: list[_Round] = []
    for _number in range(ROUNDS):
        rounds.append(_Round(records))
        rounds[-1].fold = RegistryFold()  # free the state before the next round
    decoding = [each.decoding for each in rounds]
    digesting = [each.digesting for each in rounds]
    folding = [each.folding for each in rounds]
    facts: dict[str, object] = {
        "events": event_count,
        "bytes_per_event": round(sum(len(record.value or b"") for record in records) / event_count),
        "state_memory_mib": round(max(each.memory_mib for each in rounds), 1),
        "decode_us": round(median(decoding) / event_count * 1e6, 2),
        "digest_us": round(median(digesting) / event_count * 1e6, 2),
        "fold_us": round(median(folding) / event_count * 1e6, 2),
    }
    both = [decode + digest for decode, digest in zip(decoding, digesting, strict=True)]
    return [
        _result("registry_fold", "bare msgspec decode loop of the same bytes", folding, decoding, 0.5, facts),
        _result("registry_fold_digests", "the same loop, and the SHA-256 of each value", folding, both, 0.5, facts),
    ]


def _result(
    name: str, compared_with: str, ours: list[float], comparison: list[float], aim: float, facts: dict[str, object]
) -> dict[str, object]:
    event_count = facts["events"]
    assert isinstance(event_count, int)
    ratio = median(theirs / mine for mine, theirs in zip(ours, comparison, strict=True))
    return {
        "name": name,
        "ours": round(event_count / median(ours)),
        "compared_with": compared_with,
        "comparison": round(event_count / median(comparison)),
        "unit": "events/s",
        "ratio": round(ratio, 3),
        "aim": f">= {aim}",
        "holds": ratio >= aim,
        **facts,
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), indent=2))
