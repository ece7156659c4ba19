"""What the run itself knows, written down for the checker: what was sent and what was done to the system."""

from msgspec import Struct


class Fault(Struct, frozen=True, kw_only=True):
    """One fault as it happened, seconds after the first answers."""

    at_s: float
    kind: str
    target: str
    seconds: float = 0.0
    detail: str = ""


class Said(Struct, frozen=True, kw_only=True):
    """What a worker wrote into its log. `partitions`: those that it answers from here on; None: it has just started."""

    at_s: float
    worker: str
    partitions: tuple[int, ...] | None = None


class Blocked(Struct, frozen=True, kw_only=True):
    """Partitions whose requests or answers no broker took: without a leader, or with a copy in sync that was down."""

    from_s: float
    until_s: float
    partitions: tuple[int, ...]


class RunFacts(Struct, kw_only=True):
    """The account of one run."""

    seed: int
    requests_min: int
    faults_min: int
    sent: list[int] = []
    """Requests by partition, as their producer had them confirmed."""
    faults: list[Fault] = []
    seconds: float = 0.0
    """From the first answers to the last."""
    began_ms: int = 0
    """When the first answers were there, in ms since 1970."""
    said: list[Said] = []
    blocked: list[Blocked] = []
    commands: dict[str, int] = {}
    """What the operator asked for, as `<kind> <status>` → how often."""
    unplanned_worker_ends: int = 0
    """Workers that ended by themselves and were started again."""
    unplanned_servant_ends: int = 0
    """Ends of agents or API that nobody made; without brokers for a while they may end, and are started again."""
    slowest_removal_s: float = 0.0
    """The longest a worker took to end after SIGTERM."""
    forced_removals: int = 0
    """Workers that did not end within 15 s of it and were killed."""
    troubles: list[str] = []
    """What kept the run from doing what it was to do."""
