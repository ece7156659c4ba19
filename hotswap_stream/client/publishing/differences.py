"""What a comparison of a model with its graph brought, as callers see it."""

from msgspec import Struct


class Difference(Struct, frozen=True, kw_only=True):
    """How far an output of the graph is off, at most, over the example rows."""

    output: str
    absolute: float
    """The largest difference."""
    relative: float
    """The same as a part of the largest number in the model's output."""
    allowed: float
    """The largest difference that is allowed."""
    worst_row: int


class Comparison(Struct, frozen=True, kw_only=True):
    """A graph beside the model it was made of."""

    rows: int
    differences: tuple[Difference, ...] = ()
    label_agreement: float | None = None
    """Share of rows, 0 to 1, whose labels are the model's; None for what gives no labels."""
    undecided_rows: int = 0
    """Rows whose two highest scores are as good as equal, and whose label is the other one's."""
    reasons: tuple[str, ...] = ()
    """Why it does not hold; empty: it does."""

    def metrics(self) -> dict[str, float]:
        """Return the figures for the registered event."""
        figures = {"conversion.rows": float(self.rows)}
        if self.differences:
            figures["conversion.max_abs_difference"] = max(each.absolute for each in self.differences)
            figures["conversion.max_relative_difference"] = max(each.relative for each in self.differences)
        if self.label_agreement is not None:
            figures["conversion.label_agreement"] = self.label_agreement
            figures["conversion.undecided_rows"] = float(self.undecided_rows)
        return figures
