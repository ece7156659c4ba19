"""The question by what policy verdicts on a model's versions are drawn."""

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY


class ValidationPolicyReport(Struct, frozen=True, kw_only=True):
    """By what verdicts on a model's versions are drawn."""

    model_name: str
    policy: ValidationPolicy
    is_default: bool
    """Nobody set one for this model."""


def find_validation_policy(streams: Streams, model_name: str) -> ValidationPolicyReport | Refusal:
    """Return the validation policy that holds for a model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    policy = stream.state.validation_policy
    return ValidationPolicyReport(
        model_name=model_name, policy=policy or DEFAULT_VALIDATION_POLICY, is_default=policy is None
    )
