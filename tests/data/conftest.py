"""A night that tests of splits give to many people."""

import pytest

from tests.nights import prepared_night


@pytest.fixture(scope="session")
def night(tmp_path_factory):
    return prepared_night(tmp_path_factory.mktemp("store"), epochs=100)
