"""`python -m sleep_lab.preparation`: prepare nights ahead of training."""

import logging

from omegaconf import DictConfig

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.experiment import preparation_of, prepared_nights

logger = logging.getLogger(__name__)


def prepare(config: DictConfig) -> None:
    """Prepare all nights of the config's data and say where they are."""
    nights = prepared_nights(config, preparation_of(config))
    epochs = sum(night.epochs for night in nights)
    logger.info(
        "%d nights (%d sleep epochs) are prepared in %s",
        len(nights),
        epochs,
        nights[0].folder.parent,
    )


if __name__ == "__main__":
    hydra_command("prepare")(prepare)()
