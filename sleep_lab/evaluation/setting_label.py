"""What a setting is called, in a column that may be too narrow for it."""

import re
import textwrap
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.containers import Lines
from rich.text import Text

JOINT = re.compile(r"\s+|(?<=[=/,_])|(?<=[^\W\d]\.)(?=[^\W\d])")
"""Where a label may be broken: at spaces, behind = / , _ and between the words of a key."""


class Label(Text):
    """A cell of a table whose text is broken as `broken` does."""

    def wrap(self, console: Console, width: int, *_: Any, **__: Any) -> Lines:
        """The lines, of `width` characters at most."""
        del console
        parts = self.plain.split("\n")
        return Lines(Text(line) for part in parts for line in broken(part, width))


class _Wrapper(textwrap.TextWrapper):
    wordsep_re = JOINT


def broken(label: str, width: int) -> list[str]:
    """The lines of a label, broken between words; a word that is too long, at its joints.

    A number, or a piece between joints, is broken only if it alone is wider than a line.
    """
    lines: list[str] = []
    for word in label.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines += _Wrapper(width).wrap(word)
    return lines


def longest_piece(labels: Iterable[str]) -> int:
    """Characters of the longest piece between joints."""
    return max((len(piece) for label in labels for piece in JOINT.split(label)), default=0)
