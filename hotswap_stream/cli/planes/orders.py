"""Commands as requests to an API."""

from typing import Any

import msgspec

from hotswap_events.alerts.commands import AcknowledgeAlert, ClearAlert, EndAlertSnooze, SetAlertPolicy, SnoozeAlert
from hotswap_events.commands import (
    AnyCommand,
    ArchiveVersion,
    CancelTraining,
    ProfileVersion,
    PromoteVersion,
    RequestTraining,
    RollBack,
    SetAlias,
    StageVersion,
    SwitchVersion,
    TagModel,
    ValidateVersion,
)
from hotswap_events.dataset import SetRequestRetention
from hotswap_events.rollouts.commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    ResumeRollout,
    StartRollout,
)
from hotswap_events.serving.commands import (
    CloseCircuit,
    DisableModel,
    EnableModel,
    HalfOpenCircuit,
    OpenCircuit,
    SetServingPolicy,
)
from hotswap_events.training.triggers import FireTrigger, SetTrainingPolicy
from hotswap_events.validation.commands import SetValidationPolicy
from hotswap_stream.client.http_calls import Call, model_path
from hotswap_stream.client.http_calls import command as post

PATHS: dict[type, str] = {
    StageVersion: "versions/{model_version}/stage",
    PromoteVersion: "versions/{model_version}/promote",
    ArchiveVersion: "versions/{model_version}/archive",
    ValidateVersion: "versions/{model_version}/validate",
    OpenCircuit: "versions/{model_version}/circuit/open",
    HalfOpenCircuit: "versions/{model_version}/circuit/half-open",
    CloseCircuit: "versions/{model_version}/circuit/reset",
    SwitchVersion: "switch",
    RollBack: "rollback",
    DisableModel: "disable",
    EnableModel: "enable",
    ClearAlert: "alerts/{rule_name}/clear",
    AcknowledgeAlert: "alerts/{rule_name}/acknowledge",
    SnoozeAlert: "alerts/{rule_name}/snooze",
    EndAlertSnooze: "alerts/{rule_name}/end-snooze",
    StartRollout: "rollout",
    AdvanceRollout: "rollout/advance",
    PauseRollout: "rollout/pause",
    ResumeRollout: "rollout/resume",
    PromoteRollout: "rollout/promote",
    AbortRollout: "rollout/abort",
    ChangeStrategy: "rollout/strategy",
    RequestTraining: "training-requests",
    CancelTraining: "training-runs/{run_id}/cancel",
    FireTrigger: "triggers/fire",
    SetAlertPolicy: "alert-policy",
    SetServingPolicy: "serving-policy",
    SetValidationPolicy: "validation-policy",
    SetTrainingPolicy: "training-policy",
    SetRequestRetention: "retention",
    ProfileVersion: "versions/{model_version}/profile",
    TagModel: "tags",
    SetAlias: "aliases/{alias}",
}
"""Command → where it is posted below its model. Names in braces are fields that stand in the path."""
METHODS: dict[type, str] = {
    TagModel: "PATCH",
    **dict.fromkeys(
        (
            SetAlias,
            SetAlertPolicy,
            SetServingPolicy,
            SetValidationPolicy,
            SetTrainingPolicy,
            SetRequestRetention,
            ProfileVersion,
        ),
        "PUT",
    ),
}
"""Paths of commands that are not posted."""
_SAYS_NULL: dict[type, set[str]] = {SetAlias: {"model_version"}}
"""Fields that say something when they are null: left out, nobody could tell it from forgotten."""
_BESIDE_BODY = {"type", "model_name", "command_id", "actor", "traceparent"}
"""What the path and the headers say."""
_NOT_FOR_PEOPLE: dict[type, set[str]] = {
    OpenCircuit: {"cause", "figures", "worker", "since_sequence"},
    HalfOpenCircuit: {"since_sequence"},
    CloseCircuit: {"cause", "figures", "worker", "since_sequence"},
    ClearAlert: {"cause", "value", "figures"},
    EndAlertSnooze: {"cause", "snoozed_sequence"},
    RollBack: {"entered_sequence"},
    FireTrigger: {"trigger", "slot", "at", "figures", "detail"},
}
"""What only the product's own processes say of these."""


def as_call(command: AnyCommand, *, tells_actor: bool) -> Call | None:
    """Return the request that asks an API for a command; None where the API takes none.

    Args:
        command: As it would be decided on the cluster.
        tells_actor: Whether the request says who asks, where no key does.
    """
    template = PATHS.get(type(command))
    if template is None:
        return None
    if isinstance(command, TagModel) and command.model_version is not None:
        template = "versions/{model_version}/tags"
    body: dict[str, Any] = msgspec.to_builtins(command)
    in_path = {name for name in body if "{" + name + "}" in template}
    path = template.format(**{name: _quoted(body[name]) for name in in_path})
    left_out = _BESIDE_BODY | in_path | _NOT_FOR_PEOPLE.get(type(command), set())
    call = post(
        f"{model_path(command.model_name)}/{path}",
        {name: value for name, value in body.items() if name not in left_out},
        command.command_id,
    )
    if (method := METHODS.get(type(command))) is not None:
        nulls = {name: None for name in _SAYS_NULL.get(type(command), ()) if body.get(name) is None}
        content = call.content if not nulls else msgspec.json.encode(msgspec.json.decode(call.content) | nulls)
        call = msgspec.structs.replace(call, method=method, content=content)
    if not tells_actor:
        return call
    return msgspec.structs.replace(call, headers={**call.headers, b"X-Actor": command.actor.encode()})


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
