"""What the log has of things that may come in floods."""


def is_logged(count: int) -> bool:
    """Tell whether the log has this one of a kind: the 1st, 2nd, 4th, 8th …, so that no flood becomes one of the log.

    Args:
        count: How many of the kind there have been, this one included.
    """
    return count & (count - 1) == 0
