"""A search by Optuna: its trials so far, and what its next are drawn from."""

from typing import Any

from omegaconf import OmegaConf


def trials_of(storage: str | None, name: str | None) -> list[Any]:
    """The trials that a search has already; none of one that is new, or kept nowhere."""
    if storage is None or name is None:
        return []
    import optuna

    try:
        return optuna.load_study(study_name=name, storage=storage).trials
    except KeyError:
        return []


def has_value(storage: str | None, name: str | None) -> bool:
    """Whether any trial of a search has a value."""
    return any(trial.value is not None for trial in trials_of(storage, name))


def search_seed(seed: int, storage: str | None, name: str | None) -> int:
    """What a search draws its values from: a search that goes on is to draw others."""
    return seed + len(trials_of(storage, name))


OmegaConf.register_new_resolver("search_seed", search_seed, replace=True)
