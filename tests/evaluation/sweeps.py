"""Sweeps' folders as train.py and Hydra leave them."""

import csv
import io
import json

import numpy as np
from rich.console import Console

from sleep_lab.evaluation import evaluate
from sleep_lab.evaluation.summary import summarise
from sleep_lab.evaluation.sweep import jobs_of, search_of, settings_of
from sleep_lab.evaluation.sweep_plan import BASIC_SWEEPER
from sleep_lab.evaluation.sweep_scores import scored


def hypnograms(seed, epochs, right=0.7):
    rng = np.random.default_rng(seed)
    expert = rng.integers(-1, 5, epochs)
    return expert, np.where(rng.random(epochs) < right, expert.clip(0), rng.integers(0, 5, epochs))


def make_job(folder, overrides, nights, training=None, people=None):
    """A run's folder; nights are {id: (expert, predicted)}, None for a job without scores."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    if nights is not None:
        scores = {name: evaluate(predicted, expert) for name, (expert, predicted) in nights.items()}
        (folder / "metrics.json").write_text(json.dumps(summarise(scores)))
    if training is not None:
        (folder / "training.json").write_text(json.dumps(training))
    if people is not None:
        tested = [{"night": night, "person": person} for night, person in people.items()]
        (folder / "split.json").write_text(json.dumps({"train": [], "test": tested}))


def make_multirun(sweep, told, sweeper=BASIC_SWEEPER, params=None):
    swept = {"_target_": sweeper, "params": params}
    content = {"hydra": {"sweeper": swept, "overrides": {"task": told}}}
    (sweep / "multirun.yaml").write_text(json.dumps(content))


def make_search(sweep, mode="max"):
    """What tells that the sweep is a search, in the folder of each of its jobs."""
    for folder in sweep.glob("*/.hydra"):
        sweeper = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
        hydra = {"hydra": {"sweeper": {"_target_": sweeper}}}
        (folder / "hydra.yaml").write_text(json.dumps(hydra))
        config = {"monitor": "val/accuracy", "monitor_mode": mode}
        (folder / "config.yaml").write_text(json.dumps(config))


def settings(sweep):
    """The settings of a sweep's folder with their scores."""
    return scored(settings_of(jobs_of(sweep), search_of(sweep)))


def rows(sweep, of, value="mean"):
    """Those rows of collected.csv."""
    with (sweep / "collected.csv").open(newline="") as file:
        return [r for r in csv.DictReader(file) if (r["of"], r["value"]) == (of, value)]


def text_of(*tables, width=220):
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    return captured.get()
