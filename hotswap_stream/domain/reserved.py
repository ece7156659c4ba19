"""Names that are kept for the product's own decisions: command ids and actors that nobody else may use.

A command with an id that was applied before changes nothing. Whoever could choose the id of an automatic rollback could
use it up beforehand, and the rollback would not happen; whoever could name himself a worker would be read as one in the
log. So edges (HTTP, command line, command topic) refuse both. Somebody who may write to the log itself is held up by no
edge; therefore such ids also have a part that nobody can know beforehand (`application/own_commands.py`).
"""

OWN_IDS = "hotswap/"
"""What the ids of the product's own commands begin with."""

_IDS = (
    OWN_IDS,
    # By earlier releases, which may run beside this one.
    "load-failed:",
    "circuit-open:",
    "circuit-half-open:",
    "circuit-close:",
    "circuit-reopen:",
    "analysis/",
    "alert/",
)

WORKER_ACTOR = "worker:"
ANALYSIS_ACTOR = "rollout-analysis"
ALERTS_ACTOR = "alert-watch"
TRAINER_ACTOR = "trainer:"
"""What the actor of a runner begins with."""
TRAINING_ACTOR = "training-watch"
"""Fails runs whose runner fell silent, and does what is to come after a run."""
TOPIC_ACTOR = "topic:"
"""What the actor of a command from the topic begins with: who its sender said to be."""
ANONYMOUS = "anonymous"
"""Who asks over HTTP without a key, where that is allowed, and does not say who."""


def wrong_command_id(command_id: str) -> str | None:
    """Return why nobody from outside may use this id, or None."""
    for beginning in _IDS:
        if command_id.startswith(beginning):
            return f"command id {command_id[:100]!r} begins with {beginning!r}, which is kept for automatic commands"
    return None


def wrong_actor(actor: str) -> str | None:
    """Return why nobody from outside may call himself this, or None."""
    if actor.startswith(TOPIC_ACTOR):
        return f"actor {actor[:100]!r} begins with {TOPIC_ACTOR!r}, which marks those who send commands to the topic"
    if actor.startswith((WORKER_ACTOR, TRAINER_ACTOR)) or actor in (ANALYSIS_ACTOR, ALERTS_ACTOR, TRAINING_ACTOR):
        return f"actor {actor[:100]!r} is the name of a part of the product; use another one"
    return None
