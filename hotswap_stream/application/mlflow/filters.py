"""Filters of searches: a few conditions in MLflow's words. All others are refused, rather than passed over."""

import re
from collections.abc import Mapping

from msgspec import Struct

from hotswap_stream.errors import HotswapError

FILTER_CHARACTERS_MAX = 4_096
CONDITIONS_MAX = 16

_CONDITION = re.compile(
    r"""\s*(?:(?P<field>[A-Za-z_]+)|tags?\.(?:`(?P<ticked>[^`]+)`|"(?P<quoted>[^"]+)"|(?P<bare>[\w./-]+)))"""
    r"""\s*(?P<unequal>!?)=\s*(?:'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*(?P<more>\Z|(?i:and)\b)"""
)


class FilterError(HotswapError):
    """The filter, the order or the page cannot be read; the message says what can."""


class Condition(Struct, frozen=True, kw_only=True):
    """A field or a tag equals a text, or does not."""

    field: str | None
    tag: str | None
    equal: bool
    value: str

    def holds(self, fields: Mapping[str, str], tags: Mapping[str, str]) -> bool:
        """Return whether it holds; a tag that is not there equals nothing."""
        found = fields.get(self.field) if self.field is not None else tags.get(self.tag or "")
        return (found == self.value) is self.equal


def parse_filter(text: str | None, fields: tuple[str, ...]) -> tuple[Condition, ...]:
    """Return the conditions of a filter, all of which must hold.

    Args:
        text: Such as `name = 'digits' AND tags.team != 'post'`; None or empty for all there is.
        fields: The fields that there are.

    Raises:
        FilterError: It is none of these.
    """
    text = (text or "").strip()
    if len(text) > FILTER_CHARACTERS_MAX:
        raise FilterError(f"the filter has {len(text)} characters; at most {FILTER_CHARACTERS_MAX} are read")
    conditions: list[Condition] = []
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        field = None if match is None else match["field"]
        ended = match is not None and match["more"] != "" and match.end() == len(text)
        if match is None or ended or (field is not None and field not in fields) or len(conditions) == CONDITIONS_MAX:
            raise FilterError(
                f"filter {text[:200]!r} cannot be read: at most {CONDITIONS_MAX} conditions such as "
                f"{' or '.join(repr(f'{name} = {chr(39)}x{chr(39)}') for name in fields)} or \"tags.team != 'x'\", "
                "joined by AND"
            )
        conditions.append(
            Condition(
                field=field,
                tag=match["ticked"] or match["quoted"] or match["bare"],
                equal=not match["unequal"],
                value=match["single"] if match["single"] is not None else match["double"],
            )
        )
        position = match.end()
    return tuple(conditions)
