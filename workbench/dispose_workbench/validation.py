"""What a person asked to look at (a frame, a camera, a joint), refused in a sentence where it is not there."""

from collections.abc import Sequence

from dispose.errors import InputError
from dispose.inference.readings import spans

NAMED = 40
"""So many words are listed at most."""


def require_one_of(name: str, value: int | str, there: Sequence[int] | Sequence[str], source: object) -> None:
    """Nothing, if a value that was asked for is among those that there are.

    Args:
        name: what the value is: "frame", "joint".
        value: it.
        there: all that could be asked for; numbers ascending.
        source: where they were looked for: a folder, a skeleton's name.

    Raises:
        InputError: it is not there; the message says what is.
    """
    if value in there:
        return
    words, numbers = [one for one in there if isinstance(one, str)], [one for one in there if isinstance(one, int)]
    known = ", ".join(words[:NAMED]) + (", …" if len(words) > NAMED else "") if words else spans(numbers)
    verb = "is" if len(there) <= 1 else "are"
    raise InputError(f"{source}: there is no {name} {value!r}; there {verb} {known or 'none'}.")


def require_at_least(name: str, value: float | int, least: float | int) -> None:
    """Nothing, if a number is not below the least that makes sense; otherwise `InputError`."""
    if not value >= least:
        raise InputError(f"{name} must be at least {least:g}, got {value:g}.")
