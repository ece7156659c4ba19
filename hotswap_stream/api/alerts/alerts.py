"""Alerts and what raises them: queries and commands."""

from typing import Annotated

from litestar import Controller, Response, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from hotswap_events.alerts.care import SnoozeSeconds
from hotswap_events.alerts.commands import (
    AcknowledgeAlert,
    ClearAlert,
    EndAlertSnooze,
    KeepAwaySeconds,
    SetAlertPolicy,
    SnoozeAlert,
    StreamSequence,
)
from hotswap_events.alerts.events import KEEP_AWAY_SECONDS, AlertPolicy, AlertSeverity
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.application.alerts.view import (
    AlertList,
    AlertPolicyReport,
    ModelAlerts,
    find_alert_policy,
    find_alerts,
    list_alerts,
)

ALERTS_IN_PAGE_MAX = 1_000

RuleInPath = Annotated[str, PathParameter(description="Name of the rule that raised the alert.")]
Severity = Annotated[AlertSeverity | None, QueryParameter(description="Only alerts of this severity.")]
Ended = Annotated[bool, QueryParameter(description="Also the last 20 of each model that are over.")]


class AlertPolicyBody(CommandBody, frozen=True):
    """What the model is watched by."""

    policy: AlertPolicy


class ClearAlertBody(CommandBody, frozen=True):
    """Which alert to end."""

    raised_sequence: StreamSequence | None = None
    """Refuse unless the alert was raised there: what was looked at must not end a later one."""
    keep_away_seconds: KeepAwaySeconds = KEEP_AWAY_SECONDS
    """How long it is not raised again though its cause holds."""


class AcknowledgeAlertBody(CommandBody, frozen=True):
    """Which alert somebody knows of."""

    raised_sequence: StreamSequence | None = None
    """Refuse unless the alert was raised there."""


class SnoozeAlertBody(CommandBody, frozen=True):
    """How long nobody wants to hear of the rule."""

    seconds: SnoozeSeconds
    """60 s to 30 days, from now on."""


@get("/api/alerts", operation_id="list_alerts", tags=["alerts"], responses=QUERY_PROBLEM_RESPONSES)
async def get_alerts(
    streams: PastOrPresent,
    severity: Severity = None,
    ended: Ended = False,
    limit: Annotated[int, QueryParameter(ge=1, le=ALERTS_IN_PAGE_MAX)] = 100,
) -> AlertList:
    """Alerts of all models: the raised ones, newest first, and on demand those that ended lately."""
    return list_alerts(streams, severity=severity, ended=ended, limit=limit)


class AlertController(Controller):
    """Alerts of one model."""

    path = "/api/models/{model_name:str}/alerts"
    tags = ("alerts",)

    @get("/", operation_id="list_model_alerts", responses=QUERY_PROBLEM_RESPONSES)
    async def get_alerts(
        self, streams: PastOrPresent, model_name: ModelNameInPath, severity: Severity = None, ended: Ended = False
    ) -> Response[ModelAlerts]:
        """Alerts of one model: the raised ones, newest first, and on demand the last 20 that ended."""
        alerts = found(find_alerts(streams, model_name, severity=severity, ended=ended))
        return Response(alerts, headers={"ETag": f'"{alerts.sequence}"'})

    @post(
        "/{rule_name:str}/clear",
        status_code=200,
        operation_id="clear_alert",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def clear_alert(
        self, dispatch: Dispatch, rule_name: RuleInPath, data: JSONBody[ClearAlertBody]
    ) -> Response[CommandAnswer]:
        """End an alert by hand. Where its cause holds, it is raised again after `keep_away_seconds`."""
        return await dispatch(ClearAlert, data, rule_name=rule_name)

    @post(
        "/{rule_name:str}/acknowledge",
        status_code=200,
        operation_id="acknowledge_alert",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def acknowledge_alert(
        self, dispatch: Dispatch, rule_name: RuleInPath, data: JSONBody[AcknowledgeAlertBody]
    ) -> Response[CommandAnswer]:
        """Say that you know of a raised alert and care for it. It stays raised, with your name and reason."""
        return await dispatch(AcknowledgeAlert, data, rule_name=rule_name)

    @post(
        "/{rule_name:str}/snooze",
        status_code=200,
        operation_id="snooze_alert",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def snooze_alert(
        self, dispatch: Dispatch, rule_name: RuleInPath, data: JSONBody[SnoozeAlertBody]
    ) -> Response[CommandAnswer]:
        """Have webhooks told nothing of a rule's alerts for a while. They are raised, cleared and listed as ever."""
        return await dispatch(SnoozeAlert, data, rule_name=rule_name)

    @post(
        "/{rule_name:str}/end-snooze",
        status_code=200,
        operation_id="end_alert_snooze",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def end_alert_snooze(
        self, dispatch: Dispatch, rule_name: RuleInPath, data: JSONBody[CommandBody]
    ) -> Response[CommandAnswer]:
        """End a snooze before its time: webhooks are told of the rule's alerts again."""
        return await dispatch(EndAlertSnooze, data, rule_name=rule_name)


class AlertPolicyController(Controller):
    """What a model is watched by."""

    path = "/api/models/{model_name:str}/alert-policy"
    tags = ("alerts",)

    @get("/", operation_id="get_alert_policy", responses=QUERY_PROBLEM_RESPONSES)
    async def get_policy(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[AlertPolicyReport]:
        """The rules that hold: the model's own, or the default ones."""
        report = found(find_alert_policy(streams, model_name))
        return Response(report, headers={"ETag": f'"{report.sequence}"'})

    @put(
        "/",
        status_code=200,
        operation_id="set_alert_policy",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_policy(self, dispatch: Dispatch, data: JSONBody[AlertPolicyBody]) -> Response[CommandAnswer]:
        """Set the whole policy; alerts whose rule went or changed end with it."""
        return await dispatch(SetAlertPolicy, data)
