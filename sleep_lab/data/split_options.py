"""What a split may be told: numbers, shares and lists, or one line that says what is wrong."""

from collections.abc import Sequence

from sleep_lab.errors import InputError


def whole_number(key: str, value: int) -> int:
    """The option's value, a whole number from 0 on.

    Raises:
        InputError: it is something else.
    """
    if not _is_number(value) or not isinstance(value, int) or value < 0:
        raise InputError(f"split.{key} is a whole number from 0 on, not {value!r}")
    return value


def share(key: str, value: float) -> float:
    """The option's value, a share above 0 and below 1.

    Raises:
        InputError: it is something else.
    """
    if not _is_number(value) or not 0 < value < 1:
        raise InputError(f"split.{key} is a share above 0 and below 1, not {value!r}")
    return value


def number_of_people(key: str, wanted: float, people: int, most: int) -> int:
    """How many of the people a share, or a number, is.

    Args:
        key: the option's name.
        wanted: share of the people if below 1, otherwise their number; at least one person.
        people: how many there are.
        most: how many may be taken.

    Raises:
        InputError: it is neither, nobody, or more than `most`.
    """
    if not _is_number(wanted) or not (0 < wanted < 1 or wanted % 1 == 0):
        raise InputError(
            f"split.{key} is a share of the people below 1, or a whole number of them, "
            f"not {wanted!r}"
        )
    count = max(1, round(wanted * people)) if 0 < wanted < 1 else int(wanted)
    if not 1 <= count <= most:
        raise InputError(
            f"split.{key}={wanted:g} of {people} people leaves a part empty; choose another share"
        )
    return count


def names(key: str, value: Sequence[str], of: str) -> list[str]:
    """The option's value, a list of names; what looks like numbers are names as well.

    Raises:
        InputError: it is no list.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"split.{key} is a list of {of}: write [{value}]")
    return [str(name) for name in value]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
