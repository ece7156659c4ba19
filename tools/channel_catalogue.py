"""Every topic as a channel: what is on it and what the service does with it. A new topic is one entry here."""

from typing import Literal

from msgspec import Struct

from hotswap_events.topics import Topics, TopicSpec
from tools.message_catalogue import (
    API_KEY,
    API_KEY_REVOKED,
    COMMAND_RESULT,
    COMMANDS,
    COMPARISON,
    DEAD_LETTER,
    EVENTS,
    EVIDENCE,
    FEEDBACK,
    FLEET_RECORD,
    INFER_ERROR,
    INFER_REQUEST,
    INFER_RESPONSE,
    OBSERVATION,
    REGISTRY_STATE,
    TRAINING_PROGRESS,
    WINDOW_RECORD,
    WINDOWS_MARKER,
    Message,
)

MODEL_PARAMETER = "modelName"
_MODEL_PLACEHOLDER = f"{{{MODEL_PARAMETER}}}"


class Operation(Struct, frozen=True, kw_only=True):
    """What the service does with a channel, seen from the service."""

    name: str
    action: Literal["send", "receive"]
    summary: str
    reply_channel: str | None = None


class Channel(Struct, frozen=True, kw_only=True):
    """One topic of an environment, or one per model."""

    name: str
    spec: TopicSpec
    description: str
    messages: tuple[Message, ...]
    operations: tuple[Operation, ...]

    @property
    def per_model(self) -> bool:
        """Return whether each model has such a topic of its own."""
        return _MODEL_PLACEHOLDER in self.spec.name


def channels(topics: Topics | None = None) -> tuple[Channel, ...]:
    """Return the channels of one environment."""
    topics = topics or Topics()
    specs = {
        spec.name: spec
        for spec in (
            *topics.control_specs(),
            *topics.model_specs(_MODEL_PLACEHOLDER),
            *topics.windows_specs(_MODEL_PLACEHOLDER),
        )
    }
    found = (
        Channel(
            name="registry",
            spec=specs.pop(topics.registry),
            description="The log: every change of the registry, in one order, for ever. An event that does not extend "
            "its model's stream (wrong `sequence` or `previous`) is void for every reader.",
            messages=EVENTS,
            operations=(
                Operation(name="appendEvents", action="send", summary="Append what a command led to, as one batch."),
                Operation(name="followEvents", action="receive", summary="Fold the log into the state of each model."),
            ),
        ),
        Channel(
            name="commands",
            spec=specs.pop(topics.commands),
            description="What one asks the registry for.",
            messages=COMMANDS,
            operations=(
                Operation(
                    name="handleCommands",
                    action="receive",
                    summary="Decide each command once, append its events, answer.",
                    reply_channel="commandResults",
                ),
            ),
        ),
        Channel(
            name="commandResults",
            spec=specs.pop(topics.command_results),
            description="What became of each command.",
            messages=(COMMAND_RESULT,),
            operations=(),
        ),
        Channel(
            name="registryState",
            spec=specs.pop(topics.registry_state),
            description="The latest state of each model, for consumers that do not want to fold the log themselves. "
            "Compacted, by key.",
            messages=(REGISTRY_STATE,),
            operations=(
                Operation(name="publishState", action="send", summary="Publish a model's state after each event."),
            ),
        ),
        Channel(
            name="fleet",
            spec=specs.pop(topics.fleet),
            description="Which worker holds which versions, in which state. Compacted, by key.",
            messages=(FLEET_RECORD,),
            operations=(
                Operation(name="reportFleet", action="send", summary="Say what this worker holds and serves."),
                Operation(name="followFleet", action="receive", summary="Know what the workers hold and serve."),
            ),
        ),
        Channel(
            name="trainingProgress",
            spec=specs.pop(topics.training_progress),
            description="How far each training run is, as its runner saw it last. Compacted, by key.",
            messages=(TRAINING_PROGRESS,),
            operations=(
                Operation(name="reportTraining", action="send", summary="Say how far a run is; a sign of life."),
                Operation(name="followTraining", action="receive", summary="Know how far runs are."),
            ),
        ),
        Channel(
            name="keys",
            spec=specs.pop(topics.keys),
            description="API keys, without their secrets: what each may do. Compacted, by key.",
            messages=(API_KEY, API_KEY_REVOKED),
            operations=(
                Operation(name="writeKeys", action="send", summary="Make, rotate and revoke keys."),
                Operation(name="followKeys", action="receive", summary="Know who may do what over HTTP."),
            ),
        ),
        Channel(
            name="deadLetters",
            spec=specs.pop(topics.dead_letters),
            description="Copies of records that could not be handled.",
            messages=(DEAD_LETTER,),
            operations=(
                Operation(name="writeDeadLetters", action="send", summary="Keep what could not be handled, and why."),
            ),
        ),
        Channel(
            name="observations",
            spec=specs.pop(topics.observations),
            description="What the workers saw of their answers: a small record a second for each version in use.",
            messages=(OBSERVATION,),
            operations=(
                Operation(name="reportObservations", action="send", summary="Say what was answered, and how."),
            ),
        ),
        Channel(
            name="comparisons",
            spec=specs.pop(topics.comparisons),
            description="Requests that a shadow saw beside the version that answered: a sample, with both outputs.",
            messages=(COMPARISON,),
            operations=(
                Operation(name="reportComparisons", action="send", summary="Show what a shadow would have answered."),
            ),
        ),
        Channel(
            name="feedback",
            spec=specs.pop(topics.feedback),
            description="True labels and rewards, whenever they are known, from any producer.",
            messages=(FEEDBACK,),
            operations=(Operation(name="takeFeedback", action="send", summary="Pass on what came by HTTP."),),
        ),
        Channel(
            name="evidence",
            spec=specs.pop(topics.evidence),
            description="What rollouts that go on show: a record a second for each candidate and metric, with "
            "interval, limit and verdict.",
            messages=(EVIDENCE,),
            operations=(
                Operation(name="writeEvidence", action="send", summary="Say what each metric of a rollout shows."),
                Operation(name="followEvidence", action="receive", summary="Show how rollouts do."),
            ),
        ),
        Channel(
            name="requests",
            spec=specs.pop(topics.requests(_MODEL_PLACEHOLDER)),
            description="Requests to one model, from any producer.",
            messages=(INFER_REQUEST,),
            operations=(
                Operation(
                    name="answerRequests",
                    action="receive",
                    summary="Answer each request once, in the order of its partition.",
                    reply_channel="responses",
                ),
            ),
        ),
        Channel(
            name="responses",
            spec=specs.pop(topics.responses(_MODEL_PLACEHOLDER)),
            description="Answers of one model. The answer to a request in partition p is in partition p.",
            messages=(INFER_RESPONSE, INFER_ERROR),
            operations=(),
        ),
        Channel(
            name="windows",
            spec=specs.pop(topics.windows(_MODEL_PLACEHOLDER)),
            description="The windows of one model's series, only where a version takes windows. Of several records "
            "of a series the one with the highest request offset holds. Compacted, by key.",
            messages=(WINDOW_RECORD, WINDOWS_MARKER),
            operations=(
                Operation(name="keepWindows", action="send", summary="Write windows that changed."),
                Operation(name="restoreWindows", action="receive", summary="Go on with the windows of a partition."),
            ),
        ),
    )
    if specs:
        raise ValueError(f"topics without a channel: {sorted(specs)}")
    return found
