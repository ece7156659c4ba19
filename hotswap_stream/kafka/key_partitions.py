"""Where keys go: the default partitioner of Kafka's Java client, which all who keep series together must share."""

from aiokafka.partitioner import murmur2


def key_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic with so many partitions."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


def former_partitions(partition: int, partitions: int) -> tuple[int, ...]:
    """Return where keys of a partition were, when the topic had fewer partitions: a divisor of today's number.

    In rising order, which is the order of the growth: a key stays, or goes to a partition that was not there before.
    """
    found = {partition % number for number in range(1, partitions) if partitions % number == 0}
    return tuple(sorted(found - {partition}))
