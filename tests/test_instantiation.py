"""What a config may instantiate."""

import pytest
import torch

from sleep_lab.errors import InputError
from sleep_lab.instantiation import MODEL_TARGETS, TRUSTED_VARIABLE, instantiate


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "sleep_lab.preparation.store.shutil.rmtree",
        "sleep_lab.instantiation.os.system",
        "pytorch_lightning.trainer.trainer.os.system",
        "sleep_lab",
        "sleep_lab.stages.STAGES",
    ],
)
@pytest.mark.parametrize("nest", [lambda part: part, lambda part: [{"a": [part]}]])
def test_nothing_off_the_whitelist_is_called_however_it_is_named(target, nest, monkeypatch):
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("it was called"))
    with pytest.raises(InputError, match=r"may not instantiate|config names"):
        instantiate(nest({"_target_": target, "command": "true"}))


def test_a_checkpoint_may_name_models_only():
    loss = {"_target_": "torch.nn.modules.loss.CrossEntropyLoss"}
    assert isinstance(instantiate(loss), torch.nn.CrossEntropyLoss)
    with pytest.raises(InputError, match=r"whitelist \(sleep_lab\.models\.encoders\.\*, "):
        instantiate(loss, allowed=MODEL_TARGETS)


def test_a_user_trusts_a_package_of_their_own_by_the_environment(monkeypatch):
    config = {"_target_": "tests.nights.Night", "id": "mine"}
    with pytest.raises(InputError, match=f"{TRUSTED_VARIABLE}=package"):
        instantiate(config)
    monkeypatch.setenv(TRUSTED_VARIABLE, "other.*, tests.nights.*")
    assert instantiate(config).id == "mine"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_target_": "torch.optim.Adamm"}, "no attribute 'Adamm'"),
        ({"_target_": "torch.optim.Adam", "rate": 1}, r"cannot build torch\.optim\.Adam: .*'rate'"),
        (
            {"_target_": "sleep_lab.data.Context", "length": 4},
            r"^context\.length must be odd and positive, not 4$",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(config, message):
    with pytest.raises(InputError, match=message) as error:
        instantiate(config)
    assert "\n" not in str(error.value)
