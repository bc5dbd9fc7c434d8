"""`python -m sleep_lab.preparation`: prepare nights ahead of training."""

import logging

from omegaconf import DictConfig

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.experiment import preparations_of, prepared_nights

logger = logging.getLogger(__name__)


def prepare(config: DictConfig) -> None:
    """Prepare all nights of the config's data and say where they are."""
    nights = prepared_nights(config, preparations_of(config))
    epochs = sum(night.epochs for night in nights)
    logger.info(
        "%d nights (%d sleep epochs) are prepared in %s",
        len(nights),
        epochs,
        ", ".join(sorted({str(night.folder.parent) for night in nights})),
    )


if __name__ == "__main__":
    hydra_command("prepare")(prepare)()
