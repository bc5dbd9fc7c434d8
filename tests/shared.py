"""Where the reference data lies, for the tests that compare with it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Golden outputs, published weights and real recordings, beside the checkout; not part of it."""

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the reference data (../shared) is not on this machine"
)
