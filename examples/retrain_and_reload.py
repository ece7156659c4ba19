"""Have a model trained anew and, if the new version passes, load it: for cron, a pipeline, or a person.

    hotswap-stream up                                          # in another terminal
    python examples/retrain_and_reload.py digits image-classifier epochs=8
    python examples/retrain_and_reload.py load forecaster --dataset tuesday epochs=4

It asks the API (HOTSWAP_API_URL, HOTSWAP_API_KEY) for a run that any runner does, waits for its verdict, and reloads
the model: the version goes into production if it passed. The exit code says what came of it:

0  a version passed, and is in production
1  no version came of the run, or it failed validation
2  it was called wrongly, or the API refuses it
5  a version passed, and the reload left another one in production
124  it takes longer than --timeout; the run goes on
"""

import argparse
import json
import os
import sys
import time
from typing import Any
from urllib.parse import quote

import httpx

OPEN = ("requested", "claimed", "running")
LOOK_SECONDS = 0.5
DONE, FAILED, REFUSED, NOT_IN_PRODUCTION, TIMED_OUT = 0, 1, 2, 5, 124


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("trainer")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument(
        "--dataset", action="append", default=[], help="digest or name of a dataset; several times for several"
    )
    parser.add_argument("--reason", default="retrained")
    parser.add_argument("--timeout", type=float, default=3_600.0, metavar="SECONDS")
    options = parser.parse_intermixed_args(arguments)
    key = os.environ.get("HOTSWAP_API_KEY")
    url = os.environ.get("HOTSWAP_API_URL", "http://127.0.0.1:8000")
    with httpx.Client(base_url=url, headers={} if key is None else {"X-API-Key": key}, timeout=30) as api:
        return retrain_and_reload(api, options)


def retrain_and_reload(api: httpx.Client, options: argparse.Namespace) -> int:
    """Ask, wait, reload; return the exit code."""
    until_s = time.monotonic() + options.timeout
    model = f"/api/models/{quote(options.model, safe='')}"
    run_id = f"retrain-{time.time_ns():x}"
    order = {
        "trainer": options.trainer,
        "run_id": run_id,
        "parameters": dict(map(parameter, options.parameters)),
        "datasets": options.dataset,
        "reason": options.reason,
        "retries": 1,
    }
    asked = api.post(f"{model}/training-requests", json=order)
    if asked.is_error:
        return told(REFUSED, f"refused: {asked.json().get('detail', asked.text)}")
    while True:
        run = api.get(f"{model}/training-runs/{run_id}").raise_for_status().json()
        if run["status"] == "failed" and api.get(f"{model}/training-runs/{run_id}~2").is_success:
            run_id = f"{run_id}~2"
        elif run["status"] not in OPEN and (run["status"] != "succeeded" or run.get("verdict")):
            break
        elif time.monotonic() > until_s:
            return told(TIMED_OUT, f"{run_id} is {run['status']} after {options.timeout:g} s; it goes on")
        time.sleep(LOOK_SECONDS)
    if run["status"] != "succeeded" or run["verdict"] != "passed":
        return told(FAILED, f"{run_id}: {run.get('detail') or run.get('verdict')}")
    version = run["model_version"]
    reloaded = api.post(f"{model}/reload", json={"model_version": version, "reason": options.reason})
    if reloaded.is_error:
        return told(NOT_IN_PRODUCTION, f"{version} passed; not loaded: {reloaded.json().get('detail', reloaded.text)}")
    active = api.get(model).raise_for_status().json()["active_version"]
    if active != version:
        return told(NOT_IN_PRODUCTION, f"{version} passed; {active} is in production")
    return told(DONE, f"{version} is in production: {json.dumps(run.get('metrics', {}))}")


def parameter(text: str) -> tuple[str, Any]:
    """Return name and value of NAME=VALUE; the value is JSON, or else a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def told(code: int, text: str) -> int:
    """Say how it ended: what went well on standard output, all else on standard error."""
    print(text, file=sys.stdout if code == DONE else sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
