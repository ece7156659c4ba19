"""Settings of topics that a promise rests on: what they must be, and what for."""

from typing import Literal

from msgspec import Struct

FOR_EVER = "-1"

_UNLIMITED = float("inf")


class TopicSetting(Struct, frozen=True, kw_only=True):
    """One setting of a topic. It is given when the topic is created; what is `needed` of it is asked again later."""

    name: str
    value: str
    serves: str
    """What is promised because of it."""
    needed: Literal["exactly", "at-least", "nothing"] = "exactly"
    breaks: bool = True
    """Whether the promise is broken without it; otherwise it is only weaker."""

    def met_by(self, found: str) -> bool:
        """Return whether a topic with this value keeps the promise."""
        if self.needed == "at-least":
            return _amount(found) >= _amount(self.value)
        return self.needed == "nothing" or found == self.value

    @property
    def need(self) -> str:
        """Return what is needed, in words for people."""
        return f"at least {self.value}" if self.needed == "at-least" else self.value


def _amount(value: str) -> float:
    try:
        amount = float(value)
    except ValueError:
        return -_UNLIMITED
    return _UNLIMITED if amount < 0 else amount
