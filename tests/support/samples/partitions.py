"""How many partitions a test's model has: of its own, because processes need it that have no use for torch."""

PARTITIONS = 2
