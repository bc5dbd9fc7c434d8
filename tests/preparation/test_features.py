"""Features against the reference system's outputs."""

import numpy as np
import pytest

from sleep_lab.preparation import EpochCycleIndex, EpochIndex
from tests.nights import recording
from tests.shared import SHARED, needs_shared


@needs_shared
@pytest.mark.parametrize(
    ("name", "feature"),
    [("index_window", EpochIndex()), ("cycle_index_window", EpochCycleIndex())],
)
def test_a_feature_equals_the_reference(name, feature):
    golden = np.load(SHARED / "golden" / "features.npz")[name]
    padding = (len(golden) - 20) // 2
    np.testing.assert_allclose(feature(recording(epochs=20), padding), golden, atol=1e-12)


def test_padding_holds_the_first_and_the_last_index():
    index = EpochIndex(scale=1)(recording(epochs=5), padding=2)[:, 0]
    np.testing.assert_array_equal(index, [0, 0, 0, 1, 2, 3, 4, 4, 4])
