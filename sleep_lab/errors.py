"""What sleep_lab says when something that the user gave is wrong."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """A file, name or value from the user that cannot be used.

    The message is one line: what was found, where, and what to do about it. The commands print
    it without a traceback and exit with a status that is not 0.
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """The tail of a message about an unknown name: the nearest choice, then all of them."""
    options = list(dict.fromkeys(choices))
    folded = {option.casefold(): option for option in reversed(options)}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean {folded[close[0]]!r}? " if close else ""
    return f"{hint}available: {', '.join(options) or 'none'}"


def one_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
