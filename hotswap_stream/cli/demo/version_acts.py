"""The acts of the demo about versions: trained, promoted, refused, rolled back; each with what must hold after it."""

import asyncio
import uuid
from pathlib import Path

import msgspec

from hotswap_events.commands import RegisterVersion, RollBack, SwitchVersion
from hotswap_events.inference.messages import InferTensor
from hotswap_events.registry.events import ModelPromoted, ModelRolledBack, Provenance
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.cli.demo.report import Act
from hotswap_stream.cli.demo.scene import ACTOR, FIRST_EPOCHS, MODEL, Scene, accuracy_told, refusal
from hotswap_stream.cli.demo.traffic import FLUSH_SECONDS_MAX, Example
from hotswap_stream.kafka.sessions import open_producer


def examples() -> list[Example]:
    """Return held-out digits that no version was trained or validated on, as request bodies."""
    return [
        Example(
            [InferTensor(name="image", shape=[1, 1, 28, 28], datatype="FP32", data=[round(v, 4) for v in pixels])],
            label,
        )
        for pixels, label in bootstrap.held_out_digits()
    ]


class VersionActs:
    """Plays acts about versions on a scene, one at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def first_version(self) -> Act:
        """Train v1; no version is active, so passing validation promotes it. Then requests begin to flow."""
        scene = self._scene
        report = await scene.train(epochs=FIRST_EPOCHS, seed=1)
        held = scene.state.active_version == "v1"
        if held:
            await scene.traffic.start()
            await scene.traffic.wait_first_answer(scene.active_offset())
        outcome = f"v1 {accuracy_told(report)}, active; requests flow" if held else f"v1 {accuracy_told(report)}"
        return scene.act("train v1, promote it", outcome, held, scene.active_offset())

    async def second_version(self) -> Act:
        """Train v2 while v1 answers, and promote it over HTTP."""
        scene = self._scene
        report = await scene.train_better()
        since = scene.last_offset
        response = await scene.post("/versions/v2/promote", {"reason": "better on the validation set"})
        refused = refusal(response)
        held = not refused and await scene.swapped(ModelPromoted, "v2", since)
        return scene.act(
            "train v2 meanwhile, promote it over HTTP",
            f"v2 {accuracy_told(report)}, active after {scene.swaps_ms[-1]} ms"
            if held
            else refused or "the promotion event did not come",
            held,
            scene.active_offset(),
        )

    async def bad_version(self) -> Act:
        """Train a version on inverted labels: validation must archive it by itself, and the active one go on."""
        scene = self._scene
        active = scene.state.active_version
        report = await scene.train_inverted()
        state = scene.state
        version = state.versions[report.model_version or ""]
        verdict = None if version.validation is None else version.validation.verdict
        held = version.stage == "archived" and verdict == "failed" and state.active_version == active
        return scene.act(
            "train a version on inverted labels",
            f"{version.model_version} {accuracy_told(report)}: validation {verdict}, {version.stage}; {active} goes on",
            held,
            report.results[-1].offset,
        )

    async def damaged_version(self) -> Act:
        """Promote a version whose artifact is damaged: no worker loads it, and it is rolled back by an event."""
        scene = self._scene
        active, since = scene.state.active, scene.last_offset
        if active is None:
            return scene.act("promote a damaged artifact", "there is no active version", False, None)
        store = bootstrap.artifact_store(scene.settings)
        module_file = await store.fetch(active.artifact.digest)
        # Another artifact than the active one, so that the damage hits this one alone.
        changed = bytearray(module_file.content)
        changed[-4:] = bytes(4)
        artifact = await store.put_artifact(bytes(changed))
        await asyncio.to_thread(_damage, self._artifact_path(artifact.digest))
        registered = await scene.registry.handle(
            RegisterVersion(
                command_id=str(uuid.uuid4()),
                actor=ACTOR,
                model_name=MODEL,
                artifact=artifact,
                provenance=Provenance(origin="imported", created_by=ACTOR),
            )
        )
        version = registered.model_version or ""
        await scene.registry.handle(
            SwitchVersion(
                command_id=str(uuid.uuid4()),
                actor=ACTOR,
                model_name=MODEL,
                model_version=version,
                reason="an operator forces it",
            )
        )
        rolled_back = await scene.swapped(ModelRolledBack, active.model_version, since)
        state = scene.state
        served = version in {seen.model_version for seen in scene.traffic.seen}
        held = rolled_back and not served and state.active_version == active.model_version
        return scene.act(
            "force a version whose artifact is damaged",
            f"{version} did not load anywhere, rolled back by event; {active.model_version} answered throughout"
            if held
            else f"{version} is {state.versions[version].stage}, it served: {served}",
            held,
            scene.active_offset(),
        )

    async def emergency(self) -> Act:
        """Roll back in an emergency, by a command on the topic."""
        scene = self._scene
        former, active, since = scene.state.former_version, scene.state.active_version, scene.last_offset
        command = RollBack(
            command_id=str(uuid.uuid4()),
            actor=ACTOR,
            model_name=MODEL,
            cause="emergency",
            # It is there because the fleet took back the damaged one: a rollback after a rollback names what it leaves.
            from_version=active,
            reason="an operator saw harm",
        )
        options = bootstrap.connection(scene.settings).client_options()
        async with open_producer(options, flush_seconds_max=FLUSH_SECONDS_MAX) as producer:
            await producer.send_and_wait(scene.topics.commands, msgspec.json.encode(command), MODEL.encode())
        held = former is not None and await scene.swapped(ModelRolledBack, former, since)
        return scene.act(
            "emergency rollback by a command on the topic",
            f"{active} → {former} after {scene.swaps_ms[-1]} ms" if held else "it did not come",
            held,
            scene.active_offset(),
        )

    def _artifact_path(self, digest: str) -> Path:
        hexadecimal = digest_hex(digest)
        return self._scene.settings.home / "artifacts" / "sha256" / hexadecimal[:2] / f"{hexadecimal}.safetensors"


def _damage(path: Path) -> None:
    """Change one byte of a stored artifact, as a failing disk would."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x01
    path.write_bytes(content)
