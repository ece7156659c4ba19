"""Alerts and what raises them: queries and commands."""

from typing import Annotated

from litestar import Controller, Response, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from hotswap_events.alert_commands import ClearAlert, SetAlertPolicy, StreamSequence
from hotswap_events.alerts import AlertPolicy, AlertSeverity
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
        """End an alert by hand. It is raised again when its figure is above the threshold for long enough again."""
        return await dispatch(ClearAlert, data, rule_name=rule_name)


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
