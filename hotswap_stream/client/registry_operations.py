"""The HTTP API's operations as methods of its clients, whether they block or are awaited."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from hotswap_stream.application.inference.gateway import Beside
from hotswap_stream.client import http_calls as calls
from hotswap_stream.client.upload import Progress, Steps, UploadOptions, upload_steps
from hotswap_stream.client.upload_source import Uploadable

NOTHING: Mapping[str, Uploadable] = MappingProxyType({})
NO_SHAPES: Mapping[str, Sequence[int]] = MappingProxyType({})

AnswerT = TypeVar("AnswerT")
InferenceT = TypeVar("InferenceT")


class RegistryOperations(ABC, Generic[AnswerT, InferenceT]):
    """Every operation, for a client that sends it.

    `AnswerT` is the answer's JSON object, or the coroutine that returns it; `InferenceT` likewise of an Inference. The
    answer to a command says what became of it. Every operation raises RefusedError for an answer that is no success.
    """

    @abstractmethod
    def _json(self, call: calls.Call) -> AnswerT:
        """Send the call. RefusedError where the answer is not a success."""

    @abstractmethod
    def _inference(self, call: calls.Call) -> InferenceT:
        """Send the call. RefusedError where the answer is not a success, or not an answer of the protocol."""

    @abstractmethod
    def _taken(self, steps: Steps) -> AnswerT:
        """Take the steps one after another, and return what they return."""

    def infer(
        self,
        model_name: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        id: str | None = None,  # noqa: A002  # the protocol's word
        routing_key: str | None = None,
        model_version: str | None = None,
        traceparent: str | None = None,
        deadline_s: float | None = None,
    ) -> InferenceT:
        """Ask a model through the gateway, with raw tensors both ways.

        Args:
            model_name: The model to ask.
            inputs: Its inputs by name: arrays, tensors or nested lists. The first dimension of each is the batch.
            outputs: The outputs that are wanted; all where none is named.
            id: The request's id, which comes back with the answer.
            routing_key: Whom the request is for.
            model_version: This version must answer, in production or not.
            traceparent: W3C trace context.
            deadline_s: Seconds after which the request is refused, not answered; by default when the server gives up.

        Raises:
            RefusedError: The API or the model says no.
            ValueError: An input is no tensor, or a header does not fit.
        """
        beside = Beside(
            routing_key=routing_key, model_version=model_version, traceparent=traceparent, deadline_s=deadline_s
        )
        return self._inference(calls.ask(model_name, inputs, outputs, id, beside))

    def models(self, *, after: str | None = None, limit: int | None = None) -> AnswerT:
        """A page of models with what is in production."""
        return self._json(calls.query("/api/models", {"after_name": after, "limit": limit}))

    def model(self, model_name: str) -> AnswerT:
        """One model."""
        return self._json(calls.query(calls.model_path(model_name)))

    def versions(
        self,
        model_name: str,
        *,
        stage: str | None = None,
        before_sequence: int | None = None,
        limit: int | None = None,
    ) -> AnswerT:
        """A page of versions, newest first."""
        parameters = {"stage": stage, "before_sequence": before_sequence, "limit": limit}
        return self._json(calls.query(f"{calls.model_path(model_name)}/versions", parameters))

    def version(self, model_name: str, model_version: str) -> AnswerT:
        """One version, with its stage and verdict."""
        return self._json(calls.query(calls.model_path(model_name, model_version)))

    def events(
        self,
        *,
        from_offset: int | None = None,
        last: int | None = None,
        limit: int | None = None,
        model_name: str | None = None,
        event_type: str | None = None,
    ) -> AnswerT:
        """A page of the registry log."""
        parameters = {
            "from_offset": from_offset,
            "last": last,
            "limit": limit,
            "model_name": model_name,
            "type": event_type,
        }
        return self._json(calls.query("/api/events", parameters))

    def upload(
        self,
        model: Uploadable,
        *,
        beside: Mapping[str, Uploadable] = NOTHING,
        labels: Sequence[str] = (),
        warm_up: Mapping[str, Sequence[int]] = NO_SHAPES,
        batching: Literal["rows", "request"] | None = None,
        allow_non_finite: bool = False,
        progress: Progress | None = None,
    ) -> AnswerT:
        """Upload a model: it is tried there and put into the store, to be registered by its digest.

        Up to 64 MiB go in one request; what is larger goes in pieces, and goes on where it stopped after a broken
        connection. Files are read in pieces.

        Args:
            model: Path or bytes of an ONNX graph, or of an artifact that was made before.
            beside: Files with weights of the graph, by the names that the graph has for them.
            labels: Names of the classes that the columns of the first output stand for.
            warm_up: Input → a usual shape; needed where sizes are free and few fit.
            batching: `rows`: the first dimension is the batch; `request`: each request is a pass of its own. Default:
                found out.
            allow_non_finite: Whether NaN and infinity may go in and come out.
            progress: Called with the bytes that are sent, and with all there are. After a broken connection the first
                may be less than before.

        Returns:
            `artifact_digest`, `size_bytes`, `kind`, `inputs`, `outputs`, `trial` and `warnings`.

        Raises:
            RefusedError: The API says no, such as with `not-an-artifact`, `not-servable` or `digest-mismatch`.
            httpx.TransportError: The API cannot be reached, or not any more.
            OSError: A file cannot be read.
            ValueError: A path leads to no regular file, or the file became shorter meanwhile.
        """
        options = UploadOptions(labels=labels, warm_up=warm_up, batching=batching, allow_non_finite=allow_non_finite)
        return self._taken(upload_steps(model, beside, options, progress))

    def register(
        self, model_name: str, artifact_digest: str, *, command_id: str | None = None, **facts: Any
    ) -> AnswerT:
        """Register an artifact that is in the store; `facts` are the other fields of the body."""
        body = {"artifact_digest": artifact_digest, **facts}
        return self._json(calls.command(f"{calls.model_path(model_name)}/versions", body, command_id))

    def validate(
        self,
        model_name: str,
        model_version: str,
        figures: Mapping[str, float],
        validation_set: str,
        *,
        command_id: str | None = None,
        **fields: Any,
    ) -> AnswerT:
        """Hand in the figures of an evaluation; by the model's policy the version passes, or fails and is archived.

        `figures`: at least `accuracy`, a share from 0 to 1; `fields` are the other fields of the body, such as
        `baseline_version` and `baseline_figures`, and `promote_first`: promote it if it passes and none is active.
        """
        body = {"figures": dict(figures), "validation_set": validation_set, **fields}
        path = f"{calls.model_path(model_name, model_version)}/validate"
        return self._json(calls.command(path, body, command_id))

    def promote(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> AnswerT:
        """Put a version that passed validation into production."""
        path = f"{calls.model_path(model_name, model_version)}/promote"
        return self._json(calls.command(path, {"reason": reason}, command_id))

    def reload(
        self,
        model_name: str,
        model_version: str | None = None,
        *,
        reason: str | None = None,
        command_id: str | None = None,
    ) -> AnswerT:
        """Promote the newest version that passed validation, or a named one; `unchanged` where it is active already."""
        body = {"model_version": model_version, "reason": reason}
        return self._json(calls.command(f"{calls.model_path(model_name)}/reload", body, command_id))

    def archive(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> AnswerT:
        """Take a version that is not active out of play."""
        path = f"{calls.model_path(model_name, model_version)}/archive"
        return self._json(calls.command(path, {"reason": reason}, command_id))

    def switch(
        self, model_name: str, model_version: str, *, reason: str | None = None, command_id: str | None = None
    ) -> AnswerT:
        """Force a version into production, past validation."""
        body = {"model_version": model_version, "reason": reason}
        return self._json(calls.command(f"{calls.model_path(model_name)}/switch", body, command_id))

    def rollback(
        self,
        model_name: str,
        *,
        emergency: bool = False,
        from_version: str | None = None,
        reason: str | None = None,
        command_id: str | None = None,
    ) -> AnswerT:
        """Return to the version that was in production before."""
        cause = "emergency" if emergency else "operator"
        body = {"cause": cause, "from_version": from_version, "reason": reason}
        return self._json(calls.command(f"{calls.model_path(model_name)}/rollback", body, command_id))

    def feedback(self, model_name: str, *items: Mapping[str, Any], command_id: str | None = None) -> AnswerT:
        """Say what turned out about answers.

        Each item: `request_partition` and `request_offset` as the answer's parameters have them, or `request_id`;
        at least one of `label` (index of the true class), `value` (the true number, or a list of them), `items` (a list
        of what was chosen of what the answer ranks) and `reward` (how good it was: higher is better).
        """
        return self._json(calls.feedback(model_name, items, command_id))

    def rollout(self, model_name: str) -> AnswerT:
        """The rollout that goes on with its evidence, the split of the traffic, and what may be asked of it."""
        return self._json(calls.query(f"{calls.model_path(model_name)}/rollout"))

    def rollouts(self, model_name: str) -> AnswerT:
        """The rollout that goes on and the last 20 that ended, newest first."""
        return self._json(calls.query(f"{calls.model_path(model_name)}/rollouts"))

    def rollout_report(self, model_name: str, **parameters: Any) -> AnswerT:
        """How the arms do: counts, success, latency, accuracy or reward, lift with its interval, advice."""
        return self._json(calls.query(f"{calls.model_path(model_name)}/rollout/report", parameters))

    def start_rollout(
        self,
        model_name: str,
        candidates: Sequence[str],
        strategy: Mapping[str, Any],
        *,
        policy: Mapping[str, Any] | None = None,
        reason: str | None = None,
        command_id: str | None = None,
        **fields: Any,
    ) -> AnswerT:
        """Try versions against the one in production.

        `strategy`: such as `{"kind": "canary", "weight": 500}`; `fields` are the other fields of the body, such as
        `salt` and `forced`.
        """
        body = {"candidates": list(candidates), "strategy": strategy, "policy": policy, "reason": reason, **fields}
        return self._json(calls.command(f"{calls.model_path(model_name)}/rollout", body, command_id))

    def change_rollout_strategy(
        self,
        model_name: str,
        strategy: Mapping[str, Any],
        *,
        reason: str | None = None,
        command_id: str | None = None,
        **fields: Any,
    ) -> AnswerT:
        """Let the rollout go on by another strategy. Users who were in stay in."""
        body = {"strategy": strategy, "reason": reason, **fields}
        return self._json(calls.command(f"{calls.model_path(model_name)}/rollout/strategy", body, command_id))

    def advance_rollout(self, model_name: str, *, command_id: str | None = None, **fields: Any) -> AnswerT:
        """Go to the next step. `fields`: `rollout_id` and `step_index` refuse it if somebody was faster; `reason`."""
        return self._on_rollout(model_name, "advance", fields, command_id)

    def pause_rollout(self, model_name: str, *, command_id: str | None = None, **fields: Any) -> AnswerT:
        """Let the rollout stand still, with traffic split as it is."""
        return self._on_rollout(model_name, "pause", fields, command_id)

    def resume_rollout(self, model_name: str, *, command_id: str | None = None, **fields: Any) -> AnswerT:
        """Let a paused rollout go on."""
        return self._on_rollout(model_name, "resume", fields, command_id)

    def promote_rollout(self, model_name: str, *, command_id: str | None = None, **fields: Any) -> AnswerT:
        """Put the candidate into production and end the rollout; while it bakes, keep the version.

        `fields`: `model_version` where there are several.
        """
        return self._on_rollout(model_name, "promote", fields, command_id)

    def abort_rollout(self, model_name: str, *, command_id: str | None = None, **fields: Any) -> AnswerT:
        """Give all traffic back to the baseline; while it bakes, roll back to it. `fields`: `archive`."""
        return self._on_rollout(model_name, "abort", fields, command_id)

    def _on_rollout(self, model_name: str, verb: str, fields: Mapping[str, Any], command_id: str | None) -> AnswerT:
        return self._json(calls.command(f"{calls.model_path(model_name)}/rollout/{verb}", fields, command_id))

    def alerts(self, model_name: str | None = None, *, severity: str | None = None, ended: bool = False) -> AnswerT:
        """The raised alerts, newest first, of one model or all; with `ended` also those that are over."""
        path = "/api/alerts" if model_name is None else f"{calls.model_path(model_name)}/alerts"
        return self._json(calls.query(path, {"severity": severity, "ended": ended}))

    def drift(self, model_name: str, **parameters: Any) -> AnswerT:
        """How far live inputs and scores have moved away from the training data of the active version."""
        return self._json(calls.query(f"{calls.model_path(model_name)}/drift", parameters))
