"""Which topics of an embedded broker grow with traffic, and so share its budget of disk space."""

import re

from hotswap_events.topics import Topics, TopicSpec
from hotswap_stream.errors import ConfigurationError

DISK_BYTES_MIN = 512 * 1024**2
"""Less would leave a model's partitions with files too short for its longest requests."""

_OF_A_MODEL = re.compile(r"(?P<prefix>[^.]+)\.(?:requests|responses|replies)\..+")


def check_budget(budget_bytes: int) -> int:
    """Return the budget as it is: 0, for none, or large enough to work with.

    Raises:
        ConfigurationError: It is neither.
    """
    if budget_bytes != 0 and budget_bytes < DISK_BYTES_MIN:
        raise ConfigurationError(
            f"HOTSWAP_BROKER_DISK_BYTES_MAX is {budget_bytes}; at least {DISK_BYTES_MIN} bytes are needed, "
            "or 0 for no limit"
        )
    return budget_bytes


def limited_topic(name: str) -> tuple[bool, int] | None:
    """Tell whether, and by how much, a topic grows with traffic.

    Returns:
        Whether it carries requests or answers, and the bytes of its longest message; None for a topic that is never
        cut: the registry, compacted topics, and whatever is not ours.
    """
    try:
        topics = Topics(name.partition(".")[0])
    except ValueError:
        return None
    if _OF_A_MODEL.fullmatch(name):
        return True, max(spec.message_bytes_max for spec in topics.model_specs("any"))
    for spec in topics.control_specs():
        if spec.name == name and not _kept_for_ever(spec):
            return False, spec.message_bytes_max
    return None


def _kept_for_ever(spec: TopicSpec) -> bool:
    return spec.cleanup_policy == "compact" or spec.retention_ms == -1
