"""What this process alone can tell: all else is in topics, and the same in every process."""

import time

from hotswap_stream.api.monitoring.readiness import followed
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.home.api_members import MemberCounts
from hotswap_stream.observability.process_families import memory_bytes


def own_counts(runtime: ApiRuntime) -> MemberCounts:
    """Return what this process counted."""
    return MemberCounts(
        ready=followed(runtime),
        follows_log=runtime.registry.healthy,
        event_stream_clients=runtime.event_stream_clients,
        memory_bytes=memory_bytes(),
        cpu_s=time.process_time(),
        not_permitted={str(reason): count for reason, count in runtime.refused_callers.counts.items()},
        refused_switches=list(runtime.refused_switches.items()),
    )


def counts_together(runtime: ApiRuntime) -> MemberCounts:
    """Return what all processes behind this one's port counted, which may be this one alone."""
    own, member = own_counts(runtime), runtime.services.member
    return own if member is None else member.together(own)
