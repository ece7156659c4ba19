"""How many CPU threads torch may use."""

import torch


def limit_threads(threads: int) -> None:
    """Limit the threads of one operation in this whole process. More than there are cores only makes them wait."""
    torch.set_num_threads(threads)


def take_limit() -> None:
    """Make the limit hold in the calling thread, too. This costs 0.1 µs.

    torch makes a thread heed it at its first operation that torch itself spreads over threads. A convolution is spread
    by oneDNN, which then took as many as there are cores: slower beside a Kafka client, and other bits than elsewhere.
    """
    torch.get_num_threads()
