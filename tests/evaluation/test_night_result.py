"""What belongs to a staged night belongs to the same sleep epochs."""

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult

STAGED = np.full((4, 5), 0.2, np.float32)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"uncalibrated": STAGED[:3]}, r"before temperature scaling \(3, 5\)"),
        ({"uncalibrated": STAGED[:, :4]}, r"before temperature scaling \(4, 4\)"),
        ({"expert": np.zeros(3, np.int8)}, r"an expert's hypnogram of shape \(3,\)"),
        (
            {"scorings": {"anna": np.zeros(4, np.int8), "bo": np.zeros(5, np.int8)}},
            r"4 staged epochs but bo's hypnogram of shape \(5,\)",
        ),
        (
            {"expert": np.zeros(3, np.int8), "scorings": {"an expert": np.zeros(4, np.int8)}},
            r"shape \(3,\)",
        ),
    ],
)
def test_parts_of_other_epochs_are_refused(parts, said):
    with pytest.raises(InputError, match=f"^night: .*{said}"):
        NightResult("night", STAGED, **parts)


def test_a_night_has_no_temperature_and_no_further_scorers_unless_said():
    night = NightResult("night", STAGED)
    assert night.uncalibrated is None
    assert dict(night.scorings) == {}
    whole = NightResult("night", STAGED, uncalibrated=STAGED, scorings={"bo": np.zeros(4, np.int8)})
    assert list(whole.scorings) == ["bo"]
