"""A preparation for recordings whose channels are not those that it was made for."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sleep_lab.errors import InputError
from sleep_lab.instantiation import TARGETS
from sleep_lab.preparation.preparation import Preparation

logger = logging.getLogger(__name__)

FEATURES = "features"
"""What stands for a group where there are features of signals, and no group."""

Channels = Sequence[Any]
"""Channel names, or {channels: [...], processings: [...]}, as a montage lists them for a group."""


def with_channels(
    preparation: Preparation, channels: Mapping[str, Channels], any_number: bool = False
) -> Preparation:
    """The preparation with other channels, which take the places of its own in order.

    Features that are computed of a replaced channel follow it.

    Args:
        preparation: the one to start from.
        channels: for each group that changes, its new ones. If there is one group on both sides,
            its name does not matter. A preparation without groups has the channels of its features
            under "features".
        any_number: whether there may be more or fewer than before.

    Raises:
        InputError: an unknown group, or not as many channels as before.
    """
    facts = preparation.to_dict()
    montage: dict[str, Channels] = facts["montage"]
    if not montage:
        return _with_feature_channels(facts, channels)
    if len(channels) == len(montage) == 1:
        channels = dict(zip(montage, channels.values(), strict=True))
    renamed: dict[str, str] = {}
    for group, new in channels.items():
        if group not in montage:
            raise InputError(
                f"montage.{group}: the model has no such group; it has {', '.join(montage)}"
            )
        old = montage[group]
        if list(new) == list(old):
            continue
        if len(new) != len(old) and not any_number:
            raise InputError(
                f"montage.{group}: the model wants {len(old)} channels ({listed(old)}), not "
                f"{len(new)} ({listed(new)})"
            )
        if not any_number:
            pairs = zip(old, new, strict=True)
            renamed |= {a: b for a, b in pairs if isinstance(a, str) and isinstance(b, str)}
            logger.warning(
                "group %s: %s take the places of %s, which the model was trained on",
                group,
                listed(new),
                listed(old),
            )
        montage[group] = list(new)
    for feature in facts["features"].values():
        if feature.get("channels"):
            feature["channels"] = [renamed.get(name, name) for name in feature["channels"]]
    return Preparation.from_dict(**facts, allowed=TARGETS)


def _with_feature_channels(facts: dict[str, Any], channels: Mapping[str, Channels]) -> Preparation:
    seen = [name for f in facts["features"].values() for name in f.get("channels") or ()]
    old = list(dict.fromkeys(seen))
    for group, new in channels.items():
        if group != FEATURES:
            raise InputError(
                f"montage.{group}: the model has no signal groups but features of "
                f"{listed(old) or 'no channel'}; name others with +montage.{FEATURES}=[...]"
            )
        if len(new) != len(old):
            raise InputError(
                f"montage.{FEATURES}: the model's features are of {len(old)} channels "
                f"({listed(old)}), not {len(new)} ({listed(new)})"
            )
        renamed = dict(zip(old, new, strict=True))
        if list(new) != old:
            logger.warning(
                "features: %s take the places of %s, which the model was trained on",
                listed(new),
                listed(old),
            )
        for feature in facts["features"].values():
            if feature.get("channels"):
                feature["channels"] = [renamed[name] for name in feature["channels"]]
    return Preparation.from_dict(**facts, allowed=TARGETS)


def listed(channels: Channels) -> str:
    """The channels in a message; derivations by what they are made of."""
    return ", ".join(
        channel if isinstance(channel, str) else f"({listed(channel['channels'])})"
        for channel in channels
    )
