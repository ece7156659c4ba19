"""How many CPU threads torch may use."""

import torch


def limit_threads(threads: int) -> None:
    """Limit the threads of one operation in this whole process. More than there are cores only makes them wait."""
    torch.set_num_threads(threads)
