"""`python -m benchmarks [--only NAME]`: run the benchmarks one after the other and write build/bench.json."""

import argparse
import importlib
import json
import sys
from pathlib import Path

BENCHMARKS = (
    "broker_start",
    "registry_fold",
    "dataset_build",
    "routing",
    "false_alarms",
    "detection",
    "executors",
    "precisions",
    "precision_canary",
    "padding",
    "load_300mb",
    "observation_cost",
    "metrics_page",
    "api_queries",
    "page",
    "shadow_cost",
    "training_beside",
    "bad_canary",
    "good_rollout",
    "http_predict",
    "request_latency",
    "api_processes",
    "latency_under_load",
    "slowest_answer",
    "ffnn_stream",
    "scorer_cpu",
    "loop_steps",
    "slow_broker",
    "cnn_stream",
    "json_stream",
    "boosted_stream",
    "magika_stream",
    "fleet_changes",
    "swap",
    "thousand_swaps",
)
RESULT = Path("build/bench.json")


def main() -> int:
    """Return 0 when all benchmarks ran, whether their aims hold or not; the file says which do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", choices=BENCHMARKS)
    only = parser.parse_args().only
    results: list[dict[str, object]] = []
    for name in [only] if only else BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        for result in importlib.import_module(f"benchmarks.{name}").run():
            results.append(result)
            print(
                f"{result['name']}: {result['ours']} {result['unit']}, {result['compared_with']}: "
                f"{result['comparison']}, ratio {result['ratio']} (aim {result['aim']}: "
                f"{'holds' if result['holds'] else 'missed'})",
                flush=True,
            )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {RESULT}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
