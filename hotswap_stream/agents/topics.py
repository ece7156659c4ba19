"""Topics that only the agents use, besides those everybody knows."""

from hotswap_events.topics import Topics, TopicSpec


def stream_heads_topic(topics: Topics) -> str:
    """Changelog of the registry agent's table: how far each model's published state reflects its stream."""
    return f"{topics.prefix}.agents.stream-heads"


def agent_topic_specs(topics: Topics) -> tuple[TopicSpec, ...]:
    """As many partitions as the topic whose agent writes the table."""
    return (TopicSpec(name=stream_heads_topic(topics), partitions=1, cleanup_policy="compact", retention_ms=-1),)
