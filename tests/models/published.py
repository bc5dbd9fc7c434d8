"""The networks that were published with dreem-learning-open and RobustSleepNet."""

from sleep_lab.models import ModuloNet
from tests.shared import SHARED

SIMPLE_SLEEP_NET = SHARED / "pretrained" / "simple_sleep_net_dodh" / "best_model.gz"
ROBUST_SLEEP_NET = SHARED / "pretrained" / "robust_sleep_net_dodh" / "best_model.gz"


def published_simple_sleep_net() -> ModuloNet:
    """SimpleSleepNet, trained on DOD-H; its group is "eeg"."""
    return ModuloNet.load(SIMPLE_SLEEP_NET)
