"""Errors that mean something went wrong. A refused command is not one of them: it is a returned value."""

from typing import ClassVar


class HotswapError(Exception):
    """Base of every error this package raises on purpose.

    `retriable` says whether the same call may succeed later without any change by the caller.
    """

    retriable: ClassVar[bool] = False


class ConfigurationError(HotswapError):
    """A setting is missing or wrong; the message names the setting and what it takes."""


class AuthenticationError(HotswapError):
    """The API or the cluster does not know the caller, or does not let it do this; the message says which."""


class LogUnavailableError(HotswapError):
    """The registry log could not be reached or written within its deadline."""

    retriable = True


class LogReplacedError(LogUnavailableError):
    """The registry log is not the one that was seen before: another one stands in its place, or records are missing.

    Only a person can tell whether that is meant: `hotswap-stream registry accept` says so.
    """

    retriable = False


class AppendOutcomeUnknownError(HotswapError):
    """A batch was sent and neither confirmed nor refused. Retry with the same command id: it cannot apply twice."""

    retriable = True


class DecisionTooLargeError(HotswapError):
    """A decision's events do not fit into one record batch."""


class UnreadableEventError(HotswapError):
    """A stream holds an event this release cannot read, so this release must not decide on that stream."""
