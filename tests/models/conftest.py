"""What several tests of files from strangers share."""

import pytest

from sleep_lab.errors import InputError
from sleep_lab.models.weights import load_model
from tests.models.archives import members_of, small_network


@pytest.fixture(scope="module")
def members():
    return members_of(small_network())


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Asserts that a file of these bytes is refused in one line, and nothing is run."""
    monkeypatch.chdir(tmp_path)

    def check(content, *said):
        path = tmp_path / "model"
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            load_model(path)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        assert len(message) < 1500
        for text in said:
            assert text in message
        assert list(tmp_path.iterdir()) == [path]

    return check
