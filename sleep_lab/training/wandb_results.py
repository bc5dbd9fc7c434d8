"""What a run's evaluation adds to its page on Weights & Biases."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger

from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.stages import STAGES


def log_results(loggers: Iterable[Logger], folder: Path, metrics: Mapping[str, Any]) -> None:
    """Log the test scores, the confusion matrix, a table of nights and pictures of hypnograms.

    Loggers other than W&B's are passed over; wandb is imported only if there is one.

    Args:
        loggers: the trainer's.
        folder: the run's folder, where `write_results` put the pictures.
        metrics: what `write_results` returned.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        import wandb

        run = logger.experiment
        pictures = sorted((folder / "plots").glob("*.png"))
        nights = [path for path in pictures if path.stem != "confusion_matrix"]
        content: dict[str, Any] = {
            "test/hypnograms": [wandb.Image(str(path), caption=path.stem) for path in nights],
        }
        if metrics:
            content["test/confusion_matrix"] = wandb.Image(
                str(folder / "plots" / "confusion_matrix.png")
            )
            content["test/nights"] = wandb.Table(
                columns=["night", "scored", *OVERALL, *(f"f1_{stage}" for stage in STAGES)],
                data=[
                    [
                        name,
                        scores["scored"],
                        *(scores[score] for score in OVERALL),
                        *(scores["f1"][stage] for stage in STAGES),
                    ]
                    for name, scores in metrics["nights"].items()
                ],
            )
            for score in OVERALL:
                run.summary[f"test/{score}"] = metrics["mean"][score]
        run.log(content)


def finish(loggers: Iterable[Logger]) -> None:
    """Close the W&B run, so that the next job of a sweep gets its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
