"""A policy that was set in the past: so that what comes once a week has come, and nobody has to wait for it."""

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta

import structlog

from hotswap_events.topics import Topics
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import SetTrainingPolicy
from hotswap_stream.adapters.clock import RandomIds
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.kafka.connection import KafkaConnection

QUIET = structlog.make_filtering_bound_logger(logging.WARNING)


class LateClock:
    """Is late by some days."""

    def __init__(self, days: float) -> None:
        self._late = timedelta(days=days)

    def now(self) -> datetime:
        """Return a time that is over."""
        return datetime.now(UTC) - self._late


def set_policy_days_ago(kafka: str, model_name: str, policy: TrainingPolicy, *, days: float, reason: str) -> None:
    """Set a training policy by a clock that is some days late. RuntimeError if it is refused."""
    # What is logged would go to standard output, which has the figures.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=QUIET)

    async def main() -> None:
        log = KafkaRegistryLog(KafkaConnection(bootstrap_servers=kafka), Topics().registry)
        registry = Registry(log, clock=LateClock(days), ids=RandomIds(), source="/scenarios/past")
        await registry.start()
        try:
            command = SetTrainingPolicy(
                command_id=RandomIds().new_id(), actor="scenario", model_name=model_name, policy=policy, reason=reason
            )
            result = await registry.handle(command)
            if result.status != "accepted":
                raise RuntimeError(f"the policy was not taken: {result}")
        finally:
            await registry.stop()

    asyncio.run(main())
