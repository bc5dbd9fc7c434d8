"""`--help`: every group, option and key of a command, in the words of the files in conf/."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from textwrap import TextWrapper

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from rich.console import Console
from rich.text import Text

CONFIG_MODULE = "sleep_lab.conf"
WIDEST = 100
"""Characters of a line, however wide the terminal is."""

NAMES = 26
"""Characters of the column of names."""

ENTRY = re.compile(
    r"- (?:optional )?(?P<group>[\w/]+)(?:: (?P<option>\w+))?(?:\s+# (?P<words>.+))?"
)
ELSEWHERE = re.compile(r"# (?P<group>hydra/\w+): (?P<words>.+)")
KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):\s*(?P<value>.*?)(?:\s+# (?P<words>.+))?")
PACKAGE = re.compile(r"# @package (\S+)")


@dataclass(frozen=True)
class Entry:
    """A group, an option or a key.

    Attributes:
        name: as it is typed.
        words: what it is.
        chosen: whether the command has it now.
    """

    name: str
    words: str
    chosen: bool = False


FLAGS = (
    Entry("--cfg job --resolve", "show what this command would run, and do nothing"),
    Entry("--cfg job --package GROUP", "show a group's own keys; GROUP.KEY=VALUE sets one"),
    Entry("-m A=1,2 B=x,y", "a sweep: one job for each combination"),
    Entry("--config-dir FOLDER", "your own options beside these, FOLDER/GROUP/OPTION.yaml"),
    Entry("--hydra-help", "Hydra's other flags"),
)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for the command to be explained."""
    return "--help" in arguments or "-h" in arguments


def show_help(config_name: str, arguments: Sequence[str]) -> None:
    """Print what a command is, its groups with their options, its keys, and examples.

    Args:
        config_name: the command's primary config.
        arguments: its command line; what is chosen there is marked.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("--multirun", "-m", action="store_true")
    known, rest = parser.parse_known_args(arguments)
    roots: list[Traversable] = [files(CONFIG_MODULE)]
    roots += [known.config_dir] if known.config_dir else []
    # of a sweep's values none is chosen
    overrides = [] if known.multirun else [word for word in rest if not word.startswith("-")]
    chosen = choices(config_name, overrides, known.config_dir)
    text = (roots[0] / f"{config_name}.yaml").read_text(encoding="utf-8")
    about, examples = header(text)
    console = Console(highlight=False)
    width = min(console.width, WIDEST)
    console.print(Text("\n".join(wrap(f"{about} * marks what is chosen.", width))))
    for group in groups(text):
        told = options(roots, group.name, chosen.get(group.name))
        if told:
            console.print(title(f"{group.name}=", group.words, width))
            console.print(listed(told, width))
    console.print(title("KEY=VALUE", "set here or in a file", width))
    console.print(listed(keys(text, roots[0]), width))
    console.print(title("Flags", "", width))
    console.print(listed(FLAGS, width))
    console.print(title("Examples", "", width))
    console.print(Text("\n".join(f"  {example}" for example in examples)), soft_wrap=True)


def choices(
    config_name: str, overrides: Sequence[str], own: Path | None = None
) -> Mapping[str, str | None]:
    """The option of each group that a command line chooses."""
    more = [f"hydra.searchpath=[file://{own.resolve()}]"] if own else []
    with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        config = compose(config_name, [*overrides, *more], return_hydra_config=True)
    return OmegaConf.to_container(config.hydra.runtime.choices)  # type: ignore[return-value]


def header(text: str) -> tuple[str, list[str]]:
    """What a primary config says at its beginning: what the command is, then examples."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in _comment(text.splitlines())]
    examples = [line.strip() for line in lines if line.startswith("  ")]
    return " ".join(line for line in lines if not line.startswith("  ")), examples


def groups(text: str) -> list[Entry]:
    """The groups in the defaults list of a config, each with the comment above or beside it."""
    found = []
    comment: list[str] = []
    for line in _block(text, "defaults"):
        entry, elsewhere = ENTRY.fullmatch(line), ELSEWHERE.fullmatch(line)
        if elsewhere:
            found.append(Entry(elsewhere["group"], elsewhere["words"]))
        elif line.startswith("#"):
            comment.append(line[2:])
        elif entry and entry["option"]:
            found.append(Entry(entry["group"], " ".join(comment) or entry["words"] or ""))
        comment = comment if line.startswith("#") else []
    return found


def options(roots: Sequence[Traversable], group: str, chosen: str | None) -> list[Entry]:
    """The options of a group, each with the first comment of its file."""
    found = {}
    for root in roots:
        for name, file in _yaml_files(root / group):
            lines = file.read_text(encoding="utf-8").splitlines()
            if lines and PACKAGE.match(lines[0]):
                del lines[0]
            found[name] = " ".join(line[2:] for line in _comment(lines))
    if chosen is not None and found:
        found.setdefault(chosen, "")
    return [Entry(name, found[name], name == chosen) for name in sorted(found)]


def keys(text: str, root: Traversable) -> Iterator[Entry]:
    """The keys that stand in a primary config, and in those without a group that it names."""
    for line in _block(text, "defaults"):
        entry = ENTRY.fullmatch(line)
        if entry and not entry["option"] and entry["group"] != "_self_":
            included = (root / f"{entry['group']}.yaml").read_text(encoding="utf-8")
            package = PACKAGE.match(included)
            yield from _keys(included, f"{package[1]}." if package else "")
    yield from _keys(text, "")


def _keys(text: str, prefix: str) -> Iterator[Entry]:
    comment: list[str] = []
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        key = KEY.fullmatch(line)
        if key is None:
            spoken = line.strip().startswith("#") and not PACKAGE.match(line)
            comment = [*comment, line.strip()[2:]] if spoken else []
            continue
        indent = len(key["indent"])
        above = [(depth, name) for depth, name in above if depth < indent]
        outermost = above[0][1] if above else key["name"]
        words = " ".join(comment) or key["words"] or ""
        comment = []
        if outermost in ("defaults", "hydra"):
            above = above or [(indent, key["name"])]
            continue
        name = prefix + ".".join([*(name for _, name in above), key["name"]])
        if not key["value"]:
            above.append((indent, key["name"]))
        if key["value"] or words:
            yield Entry(f"{name}={key['value']}" if key["value"] else f"{name}.", words)


def title(name: str, words: str, width: int) -> Text:
    """A heading, after an empty line."""
    text = Text.assemble("\n", (name, "bold cyan"))
    if words:
        text.append("  " + "\n  ".join(wrap(words, width - 4 - len(name))))
    return text


def listed(entries: Sequence[Entry] | Iterator[Entry], width: int) -> Text:
    """Entries below each other, their words in a column beside them, the chosen one marked."""
    text = Text()
    for entry in entries:
        mark = "* " if entry.chosen else "  "
        words = wrap(entry.words, width - NAMES - 4) or [""]
        text.append(f"{mark}{entry.name:<{NAMES}}", "bold green" if entry.chosen else "green")
        if len(entry.name) >= NAMES and entry.words:
            text.append("\n" + " " * (NAMES + 2))
        text.append(f"  {words[0]}\n")
        for line in words[1:]:
            text.append(" " * (NAMES + 4) + line + "\n")
    text.rstrip()
    return text


def wrap(words: str, width: int) -> list[str]:
    """The words in lines; names with hyphens, and paths, stay whole."""
    whole = TextWrapper(width, break_on_hyphens=False, break_long_words=False)
    return whole.wrap(words)


def _comment(lines: Sequence[str]) -> list[str]:
    """The lines of a comment that the lines begin with."""
    end = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return list(lines[:end])


def _block(text: str, name: str) -> list[str]:
    """The lines below a top-level key, without their indent."""
    lines = text.splitlines()
    first = lines.index(f"{name}:") + 1
    end = next((n for n in range(first, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return [line.strip() for line in lines[first:end]]


def _yaml_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _yaml_files(path, f"{prefix}{path.name}/")
        elif path.name.endswith(".yaml"):
            yield prefix + path.name.removesuffix(".yaml"), path
