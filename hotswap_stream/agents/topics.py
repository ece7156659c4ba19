"""Topics that only the agents use, besides those everybody knows."""

from hotswap_events.topics import Topics, TopicSpec


def stream_heads_topic(topics: Topics) -> str:
    """Return the changelog of the registry agent's table: how far each model's published state reflects its stream."""
    return f"{topics.prefix}.agents.stream-heads"


def analysis_topic(topics: Topics) -> str:
    """Return the changelog of the analysis agent's table: what was folded of each model's rollout."""
    return f"{topics.prefix}.agents.analysis"


def analysis_partitions(topics: Topics) -> int:
    """Return the partitions of the observations, of the feedback and of the table.

    They are as many, so that a model's records are all read by one agent.
    """
    counts = {spec.partitions for spec in topics.control_specs() if spec.name in (topics.observations, topics.feedback)}
    (partitions,) = counts
    return partitions


def agent_topic_specs(topics: Topics) -> tuple[TopicSpec, ...]:
    """Return the topics of the agents, with as many partitions as the topics whose agents write the tables."""
    return (
        TopicSpec(name=stream_heads_topic(topics), partitions=1, cleanup_policy="compact", retention_ms=-1),
        TopicSpec(
            name=analysis_topic(topics),
            partitions=analysis_partitions(topics),
            cleanup_policy="compact",
            retention_ms=-1,
        ),
    )
