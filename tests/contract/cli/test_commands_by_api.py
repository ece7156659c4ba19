"""Commands from a laptop that reaches an API only, and no Kafka."""

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from hotswap_stream import bootstrap
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.webhook_place import WebhookPosition
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.stream import LogStream
from hotswap_stream.application.webhooks.by_command import as_webhook
from hotswap_stream.application.webhooks.delivery import WebhookNote
from hotswap_stream.application.webhooks.listed import ListedWebhook, listed_webhook
from hotswap_stream.cli.terminal.completion import complete_models
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.fleet import HeardFleet
from tests.support.samples.recorded import EvenAnswers, KeptFeedback, KeptHistory
from tests.support.stages.command_line import command_line
from tests.support.stages.http import MODEL, HttpStage, open_http_stage, passed

KEY = "a-key-of-32-characters-or-even-more"
Laptop = Callable[..., Awaitable[Result]]


async def _untold(log: LogStream) -> list[ListedWebhook]:
    """The webhooks of the log, of which no agents tell anything yet."""
    nowhere = WebhookPosition(next_offset=None, end_offset=0, note=WebhookNote())
    return [listed_webhook(name, nowhere, as_webhook(found, {}, ()), found) for name, found in log.webhooks.items()]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[HttpStage]:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    settings = Settings(home=tmp_path / "server", topic_prefix="test")
    store = open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "artifacts")))
    async with (
        bootstrap.open_uploads(settings, store) as uploads,
        open_http_stage(
            log,
            tmp_path,
            artifacts=store,
            uploads=uploads,
            fleet=HeardFleet(),
            answers=EvenAnswers(),
            recorded=KeptHistory([]),
            feedback=KeptFeedback(),
            webhook_deliveries=_untold,
            api_keys={"ada": KEY},
        ) as stage,
    ):
        stage.client.headers["X-API-Key"] = KEY
        await stage.promoted()
        await passed(stage)
        yield stage


@pytest.fixture
async def laptop(stage: HttpStage, tmp_path: Path) -> AsyncIterator[Laptop]:
    """A function that runs a command there, with a context of the API."""
    variables = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "THE_KEY": KEY, "HOTSWAP_HOME": str(tmp_path / "home")}
    with command_line(variables) as cli:

        async def run(*arguments: str, **options: Any) -> Result:
            return await asyncio.to_thread(cli, *arguments, HOTSWAP_KAFKA_BOOTSTRAP_SERVERS=None, **options)

        await run("context", "add", "prod", "--url", stage.url, "--key-variable", "THE_KEY")
        yield run


async def test_what_serves_and_how_it_is_changed(laptop: Laptop) -> None:
    assert (await laptop("models", "-o", "name")).stdout == f"{MODEL}\n"
    assert "v1" in (await laptop("models", "show", MODEL)).stdout
    assert (await laptop("versions", MODEL, "-o", "name")).stdout == "v2\nv1\n"
    assert "digits v2: promoted, before: v1" in (await laptop("promote", MODEL, "v2", "--reason", "better")).stdout
    back = json.loads((await laptop("rollback", MODEL, "--emergency", "--from", "v2", "--json")).stdout)
    assert (back["status"], back["model_version"]) == ("accepted", "v1")
    assert "digits v2" in (await laptop("switch", MODEL, "v2")).stdout
    told = (await laptop("events", "--model", MODEL, "--last", "3", "-o", "jsonl")).stdout.splitlines()
    assert [json.loads(line)["event"]["actor"] for line in told] == ["ada"] * 3
    assert "better" in (await laptop("events", "--type", "promoted")).stdout
    assert "none is" not in (await laptop("alerts", "list")).stdout
    assert "no live worker; v2 is in production" in (await laptop("fleet")).stdout
    assert json.loads((await laptop("fleet", MODEL, "--json")).stdout)["model_name"] == MODEL
    assert "answered by" in (await laptop("circuit", "show", MODEL)).stdout
    assert "v1" in (await laptop("models", "show", MODEL, "--as-of", "2")).stdout


async def test_a_rollout_to_its_end_and_a_refusal(laptop: Laptop) -> None:
    assert "digits" in (await laptop("rollout", "start", MODEL, "v2", "--steps", "5%,pause")).stdout
    waits = await laptop("rollout", "status", MODEL, "--watch", code=6)
    assert "try: hotswap-stream rollout resume digits" in waits.stderr
    assert "5 %" in (await laptop("rollout", "show", MODEL)).stdout
    await laptop("rollout", "abort", MODEL, "--no-archive")
    assert (await laptop("rollout", "status", MODEL, "-o", "name", "--watch", code=5)).stdout == "r1\n"
    refused = await laptop("promote", MODEL, "v9", code=3)
    assert "refused (unknown-version)" in refused.stderr
    assert f"try: hotswap-stream versions {MODEL}" in refused.stderr


async def test_the_status_in_one_look_and_why_an_answer_is_as_it_is(laptop: Laptop) -> None:
    calm = await laptop("status")
    assert "1 models · 0 hurts · 0 needs you · 0 moves · 1 calm" in calm.stdout
    assert "not known here" in calm.stdout
    await laptop("rollout", "start", MODEL, "v2", "--steps", "5%,pause")
    waits = await laptop("status", MODEL)
    assert "? digits: r1 waits for a person" in waits.stdout
    assert "try: hotswap-stream rollout show digits" in waits.stdout
    assert "v1 95 %, v2 5 %" in waits.stdout
    (line,) = json.loads((await laptop("status", "--json")).stdout)["models"]
    assert (line["condition"], line["rollout_id"]) == ("needs-you", "r1")
    assert "unknown-model" in (await laptop("status", "faces", code=3)).stderr

    told = (await laptop("why", "0:3", "--model", MODEL)).stdout
    assert "partition 0, offset 3" in told
    assert json.loads((await laptop("why", "0:3", "--model", MODEL, "--json")).stdout)["model_version"] == "v1"
    assert "r-7" in (await laptop("why", "r-7", code=1)).stderr


async def test_top_shows_what_changes_and_ends_by_itself_where_it_is_told_to(laptop: Laptop) -> None:
    await laptop("rollout", "start", MODEL, "v2", "--steps", "5%,pause", "--reason", "a \x1b[2Jtrick")
    told = (await laptop("top", "--changes", "2", "--json")).stdout.splitlines()
    first = json.loads(told[0])
    assert [line["model_name"] for line in first["models"]] == [MODEL]
    assert ([arm["model_version"] for arm in first["models"][0]["arms"]], first["connected"]) == (["v1", "v2"], True)
    assert len(told) == 2
    assert [
        line["models"] for line in map(json.loads, (await laptop("top", "faces", "--changes", "1")).stdout.splitlines())
    ] == [[]]


async def test_a_person_starts_a_training_run_by_the_policy(stage: HttpStage, laptop: Laptop) -> None:
    path = f"/api/models/{MODEL}/training-policy"
    assert "no training policy" in (await laptop("triggers", "fire", MODEL, code=3)).stderr
    assert "has no training policy" in (await laptop("triggers", "show", MODEL)).stdout
    policy = {"trainer": "image-classifier", "schedule": {"cron": "0 3 * * 1"}, "drift": {"limit": 0.2}}
    wrong = await stage.client.put(path, json={"policy": {**policy, "schedule": {"cron": "0 0 30 2 *"}}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid-value")
    unread = await stage.client.put(path, json={"policy": {**policy, "command": "rm -rf /"}})
    assert unread.status_code == 422
    assert (await stage.client.put(path, json={"policy": policy})).status_code == 200
    shown = (await laptop("triggers", "show", MODEL)).stdout
    assert "schedule '0 3 * * 1' UTC, input-drift above 0.2 in 3 windows, by hand" in " ".join(shown.split())
    assert "schedule next" in shown
    fired = ("triggers", "fire", MODEL, "--reason", "new cameras", "--command-id", "fair-1", "--json")
    assert json.loads((await laptop(*fired)).stdout)["status"] == "accepted"
    assert json.loads((await laptop(*fired)).stdout)["status"] == "unchanged"
    assert "run-on" in (await laptop("triggers", "fire", MODEL, "--override", "--reason", "now", code=3)).stderr
    (record,) = json.loads((await laptop("triggers", "history", MODEL, "--json")).stdout)
    assert (record["trigger"], record["slot"], record["run_status"]) == ("hand", "fair-1", "requested")
    assert (record["actor"], record["reason"]) == ("ada", "new cameras")
    (listed,) = json.loads((await laptop("triggers", "list", "--json")).stdout)["models"]
    assert listed["run_on"] == record["run_id"]
    assert record["run_id"] in (await laptop("triggers", "history", MODEL)).stdout
    await laptop("runs", "cancel", MODEL, record["run_id"])
    assert "cooldown" in (await laptop("triggers", "fire", MODEL, code=3)).stderr
    await laptop("triggers", "set", MODEL, "--cron", "0 4 * * *")
    assert "'0 4 * * *'" in (await laptop("triggers", "show", MODEL)).stdout
    tried = json.loads((await laptop("triggers", "backtest", MODEL, "--json")).stdout)
    assert (tried["policy"]["schedule"]["cron"], tried["records"]) == ("0 4 * * *", 0)
    await laptop("triggers", "set", MODEL, "--none")
    assert "no training policy" in (await laptop("triggers", "backtest", MODEL, code=3)).stderr


async def test_what_is_noted_measured_and_told_later(stage: HttpStage, laptop: Laptop) -> None:
    await laptop("tag", MODEL, "owner=ada", "tier=1")
    await laptop("tag", MODEL, "seen=yes", "--version", "v2", "--remove", "none")
    await laptop("alias", MODEL, "next", "v2")
    shown = (await stage.get(f"/api/models/{MODEL}")).json()
    assert (shown["tags"], shown["aliases"]) == ({"owner": "ada", "tier": "1"}, {"next": "v2"})
    assert shown["versions"][0]["tags"] == {"seen": "yes"}
    await laptop("alias", MODEL, "next", "--remove")
    await laptop("tag", MODEL, "--remove", "tier")
    shown = (await stage.get(f"/api/models/{MODEL}")).json()
    assert (shown["tags"], shown.get("aliases", {})) == ({"owner": "ada"}, {})
    assert "champion" in (await laptop("alias", MODEL, "champion", "v2", code=3)).stderr

    assert "unknown-rollout" in (await laptop("rollout", "report", MODEL, code=3)).stderr
    await laptop("rollout", "start", MODEL, "v2", "--steps", "5%,pause")
    report = json.loads((await laptop("rollout", "report", MODEL, "--json")).stdout)
    assert report == (await stage.get(f"/api/models/{MODEL}/rollout/report")).json()
    assert "no metric" in (await laptop("rollout", "report", MODEL)).stdout

    drift = json.loads((await laptop("drift", MODEL, "--json")).stdout)
    assert (drift["model_version"], drift["verdict"]) == ("v1", "no-profile")
    asked = await laptop("feedback", MODEL, "--request", "0:4", "--label", "1", "--feedback-id", "f", "--json")
    assert json.loads(asked.stdout) == {"accepted": 1, "feedback_ids": ["f"]}
    assert "unknown-model" in (await laptop("feedback", "faces", "--id", "r", "--label", "1", code=3)).stderr
    assert "windows-unknown" in (await laptop("windows", MODEL, code=1)).stderr


async def test_a_version_comes_from_a_file_and_is_cleaned_up(stage: HttpStage, laptop: Laptop, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(linear_artifact(seed=77))
    register = ("register", MODEL, str(file), "--metric", "loss=0.5", "--command-id", "r-1", "--json")
    first = json.loads((await laptop(*register)).stdout)
    assert (first["status"], first["model_version"]) == ("accepted", "v3")
    assert json.loads((await laptop(*register)).stdout)["status"] == "unchanged"
    version = (await stage.get(f"/api/models/{MODEL}/versions/v3")).json()
    assert (version["metrics"], version["provenance"]["created_by"]) == ({"loss": 0.5}, "ada")
    same = await laptop("register", MODEL, "--digest", version["artifact"]["digest"], "--version", "again")
    assert "again" in same.stdout
    file.write_bytes(b"no model at all")
    assert "not-servable" in (await laptop("register", MODEL, str(file), code=3)).stderr
    assert (
        "validated" in (await laptop("validate", MODEL, "v3", "--accuracy", "0.9", "--baseline-accuracy", "0.9")).stdout
    )

    await laptop("archive", MODEL, "again")
    plan = json.loads((await laptop("cleanup", "--keep", "1", "--json")).stdout)
    assert [report["model_name"] for report in plan] == [MODEL]
    assert "--apply does it" in (await laptop("cleanup", MODEL, "--keep", "1")).stdout
    assert "unknown-model" in (await laptop("cleanup", "faces", "--keep", "1", "--apply", code=3)).stderr

    examples = tmp_path / "set.npz"
    np.savez(examples, x=np.zeros((4, 4), np.float32), labels=np.zeros(4, np.int64))
    chosen = json.loads((await laptop("validation-set", "choose", MODEL, str(examples), "--json")).stdout)
    assert chosen["status"] == "accepted"
    assert "classification" in (await laptop("validation-set", "show", MODEL)).stdout


async def test_policies_are_changed_from_what_holds(laptop: Laptop) -> None:
    await laptop("serving-policy", "set", MODEL, "--error-rate-max", "0.25")
    await laptop("serving-policy", "set", MODEL, "--probes", "7")
    shown = json.loads((await laptop("serving-policy", "show", MODEL, "--json")).stdout)
    assert (shown["error_rate_max"], shown["probes"]) == (0.25, 7)
    await laptop("alert-policy", "set", MODEL, "--rule", "error-rate>5%")
    assert "5 %" in (await laptop("alert-policy", "show", MODEL)).stdout
    assert "unknown-model" in (await laptop("serving-policy", "set", "faces", "--probes", "7", code=3)).stderr
    await laptop("retention", "set", MODEL, "--seconds", "3600")
    assert "kept" in (await laptop("retention", "show", MODEL)).stdout
    assert "v2" in (await laptop("reload", MODEL)).stdout
    assert "v2" in (await laptop("circuit", "reset", MODEL, code=None)).output


async def test_the_log_is_checked_on_a_copy_and_exported(stage: HttpStage, laptop: Laptop, tmp_path: Path) -> None:
    seal = (await laptop("audit", "verify")).stdout.rsplit("seal ", 1)[1].strip()
    exported = tmp_path / "log.jsonl"
    written = json.loads((await laptop("audit", "export", str(exported), "--json")).stdout)
    assert (written["records"], written["sha256"]) == (stage.registry.fold.next_offset, seal)
    assert "every stream's chain holds" in (await laptop("audit", "verify", str(exported))).stdout
    await laptop("promote", MODEL, "v2")
    await laptop("audit", "verify", "--expect-seal", seal)
    assert "v1" in (await laptop("audit", "show", MODEL, "--as-of", "3")).stdout
    nothing = await laptop("audit", "acknowledge", "0", "--digest", "none", code=1)
    assert "finds nothing at offset 0" in nothing.stderr
    assert (await stage.get("/api/log/export")).text.count("\n") == stage.registry.fold.next_offset + 1


async def test_who_is_told_of_events(laptop: Laptop) -> None:
    await laptop("webhooks", "add", "chat", "https://chat.example/hook", "--event", "hotswap.model.*")
    (listed,) = json.loads((await laptop("webhooks", "list", "--json")).stdout)
    assert (listed["name"], listed["events"], listed["actor"]) == ("chat", ["hotswap.model.*"], "ada")
    refused = await laptop("webhooks", "add", "chat", "ftp://chat.example", code=3)
    assert "invalid-value" in refused.stderr
    assert json.loads((await laptop("webhooks", "remove", "chat", "--json")).stdout) == {
        "name": "chat",
        "removed": True,
    }
    assert "no webhooks" in (await laptop("webhooks", "list")).stdout
    assert "chat" in (await laptop("webhooks", "remove", "chat", code=1)).stderr


async def test_another_policy_is_tried_on_past_rollouts(stage: HttpStage, laptop: Laptop, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[policy]\nalpha = 0.01\n")
    backtest = ("rollout", "backtest", MODEL, "--policy", str(policy))
    assert "unknown-rollout" in (await laptop(*backtest, code=3)).stderr
    await laptop("rollout", "start", MODEL, "v2", "--steps", "5%,pause")
    (report,) = json.loads((await laptop(*backtest, "--json")).stdout)
    assert (report["rollout_id"], report["candidates"], report["policy"]["alpha"]) == ("r1", ["v2"], 0.01)
    assert "by this policy" in (await laptop(*backtest)).stdout
    path = f"/api/models/{MODEL}/rollout/backtest"
    for wrong in (
        {"policy": {"alpha": 7}},
        {"policy": {"alpa": 0.1}},
        {"policy": {}, "since": "0001-01-01T00:00:00Z"},
    ):
        assert (await stage.client.post(path, json=wrong)).status_code == 422, wrong


async def test_the_last_entries_are_counted_after_the_filter(stage: HttpStage) -> None:
    async def offsets(**query: Any) -> list[int]:
        page = (await stage.get("/api/events", **query)).json()
        return [each["offset"] for each in page["events"]]

    registered = await offsets(type="registered")
    assert len(registered) == 2
    assert await offsets(type="registered", last=1) == registered[1:]
    assert await offsets(type="registered", last=2) == registered
    assert await offsets(type="registered", last=2, limit=1) == registered[:1]
    assert await offsets(type="archived", last=5) == []


async def test_what_needs_the_cluster_says_so_and_what_is_denied_is_no_failure(laptop: Laptop) -> None:
    needing = await laptop("topics", code=78)
    assert "needs the cluster itself" in needing.stderr
    assert "try: hotswap-stream context" in needing.stderr
    denied = await laptop("promote", MODEL, "v2", code=4, THE_KEY="another-key-of-32-characters-or-more")
    assert "try: hotswap-stream context show" in denied.stderr
    unset = await laptop("models", code=78, THE_KEY=None)
    assert "THE_KEY, which is not set" in unset.stderr
    assert (await laptop("context", "add", "away", "--url", "http://127.0.0.1:1")).exit_code == 0
    away = await laptop("--context", "away", "models", code=1)
    assert "cannot be reached" in away.stderr


GUIDES = (
    "on-call",
    "roll-back-now",
    "why-this-answer",
    "add-a-worker",
    "upgrade",
    "registry-topic-lost",
    "deploy",
    "secured-cluster",
)
STAYING = ("top", "worker", "up", "api", "agents", "broker")


@pytest.mark.slow
async def test_no_command_of_the_guides_for_operators_is_wrong(
    laptop: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run each: what it says depends on what is there, but none is wrong usage, and none ends in a bug."""
    monkeypatch.chdir(tmp_path)  # some write files
    (tmp_path / "model.onnx").write_bytes(linear_artifact())
    await laptop("promote", MODEL, "v2")
    codes: dict[str, int] = {}
    for guide in GUIDES:
        text = (ROOT / "docs" / "guides" / f"{guide}.md").read_text(encoding="utf-8")
        for shown in re.findall(r"(?:^ +|`)hotswap-stream ([^`#\n]+)", text, re.MULTILINE):
            words = shlex.split(shown.replace("fraud", MODEL).replace("sha256:…", f"sha256:{'a' * 64}"))
            words = [word.replace("…", "kafka-1:9093") for word in words]
            if words[0] not in STAYING and shown.strip() not in codes:
                result = await laptop(*words, code=None)
                assert result.exception is None or isinstance(result.exception, SystemExit), (shown, result.exception)
                codes[shown.strip()] = result.exit_code
    assert {shown: code for shown, code in codes.items() if code not in (0, 1, 3, 6, 78)} == {}
    done = (
        "status",
        "rollback fraud",
        "circuit show fraud",
        "fleet fraud",
        "disable fraud",
        "alerts list",
        "context show",
    )
    for command in done:
        assert [code for shown, code in codes.items() if shown.startswith(command)][:1] == [0], command


async def test_names_are_completed_by_the_api(
    stage: HttpStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOTSWAP_API_URL", stage.url)
    monkeypatch.setenv("HOTSWAP_API_KEY", KEY)
    monkeypatch.delenv("HOTSWAP_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with command_line():
        assert await asyncio.to_thread(complete_models, "dig") == [MODEL]
        assert await asyncio.to_thread(complete_models, "x") == []
