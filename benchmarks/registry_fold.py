"""Folding the registry log, beside a bare msgspec decode loop of the same bytes.

    python -m benchmarks.registry_fold [EVENTS]

The history: models whose versions are trained, validated, promoted and superseded, every event with metrics, tags and
provenance as a trainer writes them. The fold decodes, checks sequence and digest, evolves and indexes; the comparison
decodes into the same typed envelopes and drops them.
"""

import gc
import json
import sys
import time
from datetime import UTC, datetime

import psutil

from hotswap_events.codec import REGISTRY_CODEC, digest_of
from hotswap_events.commands import AnyCommand, PromoteVersion, RegisterVersion, ValidateVersion
from hotswap_events.envelope import GENESIS
from hotswap_events.registry import ArtifactFacts, Provenance
from hotswap_stream.application.registry_fold import RegistryFold
from hotswap_stream.application.registry_log import LogRecord
from hotswap_stream.domain.decide import Accepted, decide
from hotswap_stream.domain.evolve import evolve_in_place
from hotswap_stream.domain.state import ModelState

MODELS = 200
ROUNDS = 3


def history(event_count: int) -> list[LogRecord]:
    """`event_count` events of `MODELS` interleaved streams, legal and chained."""
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


def run(event_count: int = 1_000_000) -> list[dict[str, object]]:
    """Medians of interleaved rounds, events/s; memory of the folded state in MiB."""
    records = history(event_count)
    values = [record.value for record in records]
    value_bytes = sum(len(value or b"") for value in values)
    gc.collect()
    gc.freeze()
    ours: list[float] = []
    bare: list[float] = []
    memory_mib = 0.0
    decode = REGISTRY_CODEC.decode
    for _round in range(ROUNDS):
        start = time.perf_counter()
        for value in values:
            decode(value)
        bare.append(event_count / (time.perf_counter() - start))
        before = _rss_mib()
        fold = RegistryFold()
        start = time.perf_counter()
        for record in records:
            fold.apply(record)
        ours.append(event_count / (time.perf_counter() - start))
        memory_mib = max(memory_mib, _rss_mib() - before)
        assert fold.applied_count == event_count, fold.void_count
    ratio = sorted(a / b for a, b in zip(ours, bare, strict=True))[ROUNDS // 2]
    return [
        {
            "name": "registry_fold",
            "ours": round(sorted(ours)[ROUNDS // 2]),
            "compared_with": "bare msgspec decode loop of the same bytes",
            "comparison": round(sorted(bare)[ROUNDS // 2]),
            "unit": "events/s",
            "ratio": round(ratio, 3),
            "aim": ">= 0.5",
            "holds": ratio >= 0.5,
            "events": event_count,
            "bytes_per_event": round(value_bytes / event_count),
            "state_memory_mib": round(memory_mib, 1),
        }
    ]


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), indent=2))
