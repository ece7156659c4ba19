"""What one may ask of the validation policy and of the labelled set."""

from hotswap_events.command import Command
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_events.validation.sets import ValidationSet


class SetValidationPolicy(Command, frozen=True, tag="hotswap.command.set-validation-policy.v1"):
    """Draw verdicts on versions of this model by this policy from here on."""

    policy: ValidationPolicy


class ChooseValidationSet(Command, frozen=True, tag="hotswap.command.choose-validation-set.v1"):
    """Measure versions of this model on this set from here on. It must lie in the artifact store."""

    validation_set: ValidationSet
