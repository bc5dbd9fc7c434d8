"""`--help` explains what is in conf/ in the words that stand there."""

import re
import shlex
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.help import groups, header, keys, options
from sleep_lab.commands.train import main as train_main
from tests.test_config import CONF, GROUPS, OPTIONS
from tests.test_readme import README

ENGINES = ("hydra/launcher", "hydra/sweeper")
PRIMARY = ("train", "evaluate", "prepare")


def text_of(name):
    return (CONF / f"{name}.yaml").read_text(encoding="utf-8")


def plain(text):
    return " ".join(text.split())


def first_comment(path):
    text = path.read_text(encoding="utf-8").removeprefix("# @package _global_\n")
    (comment,) = re.findall(r"\A((?:#.*\n)+)", text)
    return plain(comment.replace("\n#", "\n")[1:])


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def test_every_option_of_every_group_is_explained_in_the_words_of_its_file(command, narrow):
    shown = plain(command(train_main, "--help").out)
    for group, option in OPTIONS:
        assert f"{option} {first_comment(CONF / group / f'{option}.yaml')}" in shown
    for group in GROUPS:
        assert group == "hydra" or f"{group}= " in shown


@pytest.mark.parametrize("name", PRIMARY)
def test_every_group_and_every_key_has_words(name):
    for entry in (*groups(text_of(name)), *keys(text_of(name), CONF)):
        assert entry.words, entry.name


@pytest.mark.parametrize("name", PRIMARY)
def test_the_keys_and_values_are_those_of_the_file(name):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    known = {}

    def flatten(node, prefix):
        for key, value in node.items():
            if OmegaConf.is_dict(value) and value:
                flatten(value, f"{prefix}{key}.")
            else:
                known[f"{prefix}{key}"] = value

    flatten({key: config[key] for key in config if key not in ("defaults", "hydra")}, "")
    flatten(OmegaConf.load(CONF / "paths.yaml"), "paths.")
    told = dict(
        entry.name.split("=", 1) for entry in keys(text_of(name), CONF) if "=" in entry.name
    )
    assert {key: OmegaConf.create(f"x: {value}").x for key, value in told.items()} == known


def test_what_is_chosen_is_marked(command, narrow):
    shown = command(train_main, "encoder=seq_sleep", "experiment=demo", "--help").out
    marked = re.findall(r"^\* (\S+)", shown, re.MULTILINE)
    with initialize_config_module("sleep_lab.conf", version_base=None):
        config = compose(
            "train", ["encoder=seq_sleep", "experiment=demo"], return_hydra_config=True
        )
    names = [group.name for group in groups(text_of("train")) if group.name in (*GROUPS, *ENGINES)]
    choices = config.hydra.runtime.choices
    assert marked == [choices[name] for name in names if choices[name] is not None]
    assert {"seq_sleep", "demo", "cosine"} <= set(marked)


def test_it_fits_into_80_columns_and_has_no_colours_where_there_is_no_terminal(command, narrow):
    for main in (train_main, evaluate_main):
        outcome = command(main, "-h")
        assert outcome.status == 0
        assert max(map(len, outcome.out.splitlines())) <= 80
        assert "\x1b" not in outcome.out


def test_an_option_of_ones_own_is_explained_too(command, tmp_path, narrow):
    own = tmp_path / "own" / "encoder" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# What only I have.\n_target_: mine.Encoder\n")
    shown = command(train_main, "--config-dir", "own", "encoder=mine", "--help").out
    assert re.search(r"^\* mine +What only I have\.$", shown, re.MULTILINE)
    assert "  simple_sleep " in shown


def test_a_sweep_can_ask_for_help_and_a_wrong_option_is_one_line(command, narrow):
    assert command(train_main, "-m", "encoder=simple_sleep,seq_sleep", "--help").status == 0
    outcome = command(train_main, "encoder=seqsleep", "--help")
    assert outcome.status == 2
    assert "encoder/seqsleep" in outcome.last_line


@pytest.mark.parametrize("name", PRIMARY)
def test_five_examples_compose(name):
    _, examples = header(text_of(name))
    assert len(examples) == 5
    for example in examples:
        words = [word for word in shlex.split(example) if "=" in word]
        first = [
            f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
            if override.is_sweep_override()
            else override.input_line
            for override in OverridesParser.create().parse_overrides(words)
        ]
        with initialize_config_module("sleep_lab.conf", version_base=None):
            compose(name, first)


@pytest.mark.parametrize("group", [name for name in (*GROUPS, *ENGINES) if name != "hydra"])
def test_the_readme_says_the_same_of_a_group(group):
    (entry,) = (entry for entry in groups(text_of("train")) if entry.name == group)
    rows = [line.split("|") for line in README.splitlines() if line.startswith(f"| `{group}`")]
    rows += [line.split("|") for line in README.splitlines() if f"` `{group}` |" in line]
    assert any(entry.words.partition(";")[0] in cells[3].replace("`", "") for cells in rows)


def test_options_are_found_in_folders_of_a_group():
    told = {entry.name: entry for entry in options([CONF], "experiment", "paper/tsinalis")}
    assert told["paper/tsinalis"].chosen
    assert not told["demo"].chosen


@pytest.mark.parametrize("main", [train_main, evaluate_main])
def test_the_resolved_config_is_shown_without_running(command, main, tmp_path):
    shown = command(main, "--cfg", "job", "--resolve").out
    assert "${" not in shown
    assert OmegaConf.create(shown).paths.runs == "runs"
    assert list(tmp_path.iterdir()) == []


def test_preparation_explains_itself_in_any_folder(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "sleep_lab.preparation", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "preparation=  filter, resampling, scale, padding" in finished.stdout
    assert list(tmp_path.iterdir()) == []
