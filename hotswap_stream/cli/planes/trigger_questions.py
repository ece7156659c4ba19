"""The questions about what starts training runs."""

from typing import TYPE_CHECKING

from hotswap_stream.cli.planes.port import Question

if TYPE_CHECKING:
    from hotswap_stream.application.triggers.view import ModelTriggers, TriggerList


def triggers() -> "Question[TriggerList]":
    """Return: which models train by themselves?"""
    from hotswap_stream.application.triggers.view import TriggerList, list_triggers

    return Question(list_triggers, lambda api: api.get("/api/triggers", TriggerList))


def model_triggers(model_name: str) -> "Question[ModelTriggers]":
    """Return: what starts training runs of a model, and what has started them?"""
    from hotswap_stream.application.triggers.view import ModelTriggers, find_triggers
    from hotswap_stream.client.http_calls import model_path

    return Question(
        lambda streams: find_triggers(streams, model_name),
        lambda api: api.get(f"{model_path(model_name)}/triggers", ModelTriggers),
    )
