"""Simulated nights that note when they are opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleep_lab.recordings import Recording, simulated_nights
from sleep_lab.recordings.simulated import SimulatedNight


@dataclass(frozen=True)
class WatchedNight:
    """A night that writes its id into a file whenever it is opened."""

    night: SimulatedNight
    log: Path

    @property
    def id(self) -> str:
        return self.night.id

    @property
    def person(self) -> str:
        return self.night.person

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    @property
    def identity(self) -> dict[str, Any]:
        return self.night.identity

    def open(self) -> Recording:
        with self.log.open("a") as log:
            log.write(f"{self.id}\n")
        return self.night.open()


def watched_nights(log: str, **arguments: Any) -> list[WatchedNight]:
    """The simulated nights of these arguments, watched."""
    return [WatchedNight(night, Path(log)) for night in simulated_nights(**arguments)]
