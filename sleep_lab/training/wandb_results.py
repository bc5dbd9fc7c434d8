"""What a run's evaluation adds to its page on Weights & Biases."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.stages import STAGES
from sleep_lab.training.run_folder import BEST
from sleep_lab.training.wandb_run import WandbRun

logger = logging.getLogger(__name__)

LARGEST_REPORT = 10_000_000
"""Bytes of a report that goes along."""

Rows = list[list[Any]]


def log_results(loggers: Iterable[Logger], folder: Path, metrics: Mapping[str, Any]) -> None:
    """Log the test scores as tables, the pictures and the report of a run, its weights if asked.

    Loggers other than W&B's are passed over; wandb is imported only if there is one.

    Args:
        loggers: the trainer's.
        folder: the run's folder, where `write_study` put the pictures, and which may have a
            report.html.
        metrics: what `write_study` returned; it may compare models and scorers as well.
    """
    for run_logger in loggers:
        if not isinstance(run_logger, WandbRun):
            continue
        import wandb

        run = run_logger.experiment
        tables = tables_of(metrics)
        run.log(
            {
                **{
                    f"test/{name}": wandb.Table(columns=rows[0], data=rows[1:])
                    for name, rows in tables.items()
                },
                **_pictures(folder, wandb.Image),
                **_report(folder, wandb.Html),
            }
        )
        for score in OVERALL if "mean" in metrics else ():
            run.summary[f"test/{score}"] = metrics["mean"][score]
        if run_logger.log_best:
            artifact = wandb.Artifact(f"best-{run.id}", type="model", metadata=metrics.get("mean"))
            # the file in the run's folder is not going to change: no copy of it is made
            artifact.add_file(str(folder / BEST), policy="immutable")
            run.log_artifact(artifact, aliases=["best"])


def tables_of(metrics: Mapping[str, Any]) -> dict[str, Rows]:
    """By name, the tables of a run, the headings first; an undefined score is None.

    If the nights have an expert, "nights" has a row for each, and "overall" those of the mean, the
    standard deviation and the pooled epochs. If several scorers judged, "comparison" has a row per
    model, per scorer and for all scorers together, with every score's mean and deviation.
    """
    tables: dict[str, Rows] = {}
    if "mean" in metrics:
        headings = ["scored", *OVERALL, *(f"f1_{stage}" for stage in STAGES)]
        nights = [_row(name, scores) for name, scores in metrics["nights"].items()]
        overall = [_row(name, metrics[name]) for name in ("mean", "std", "pooled")]
        tables["nights"] = [["night", *headings], *nights]
        tables["overall"] = [["over", *headings], *overall]
    if "models" in metrics:
        tables["comparison"] = _comparison(metrics)
    return tables


def _row(name: str, scores: Mapping[str, Any]) -> list[Any]:
    single = [scores[score] for score in OVERALL]
    return [name, scores.get("scored"), *single, *(scores["f1"][stage] for stage in STAGES)]


def _comparison(metrics: Mapping[str, Any]) -> Rows:
    judged = {
        **{("model", name): scores for name, scores in metrics["models"].items()},
        **{("scorer", name): scores for name, scores in metrics["scorers"].items()},
        ("scorers", "all"): metrics["overall_scorers"],
    }
    scores = list(metrics["overall_scorers"])
    headings = [heading for score in scores for heading in (score, f"{score}_std")]
    rows = [
        [*who, *(value for score in scores for value in found[score])]
        for who, found in judged.items()
    ]
    return [["kind", "name", *headings], *rows]


def _pictures(folder: Path, image: Any) -> dict[str, Any]:
    """The nights' pictures together, any other by its own name."""
    nights = {path.stem for path in (folder / "hypnograms").glob("*.csv")}
    paths = sorted((folder / "plots").glob("*.png"))
    hypnograms = [path for path in paths if path.stem in nights]
    return {
        "test/hypnograms": [image(str(path), caption=path.stem) for path in hypnograms],
        **{f"test/{path.stem}": image(str(path)) for path in paths if path.stem not in nights},
    }


def _report(folder: Path, html: Any) -> dict[str, Any]:
    path = folder / "report.html"
    if not path.is_file():
        return {}
    size = path.stat().st_size
    if size > LARGEST_REPORT:
        logger.warning(
            "%s: %.1f MB are more than the %.0f MB that are sent to W&B; it stays in the folder",
            *(path, size / 1e6, LARGEST_REPORT / 1e6),
        )
        return {}
    # as it is: what wandb would add to it comes from a network
    return {"test/report": html(str(path), inject=False)}
