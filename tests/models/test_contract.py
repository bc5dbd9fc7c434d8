"""What ModuloNet expects of every part; a part without a case here is a failure."""

import copy
import importlib
import inspect
import pickle
import pkgutil
from functools import partial

import pytest
import torch
from torch import nn

import sleep_lab.models
from sleep_lab.models import ModuloNet
from sleep_lab.models.encoders import (
    ChambonEncoder,
    DeepSleepEncoder,
    RobustSleepEncoder,
    SeqSleepEncoder,
    SimpleSleepEncoder,
    TsinalisEncoder,
)
from sleep_lab.models.encoders.robust_sleep import ChannelAttention
from sleep_lab.models.features_encoders import FullyConnectedFeatures
from sleep_lab.models.group_encoder import GroupEncoder
from sleep_lab.models.normalizers import (
    Affine,
    Clip,
    ClipAndScale,
    Spectrogram,
    Standardization,
    StandardizeOnline,
)
from sleep_lab.models.reducers import (
    AttentionReducer,
    FlattenReducer,
    PoolReducer,
    ProjectedAttentionReducer,
)
from sleep_lab.models.sequence_encoders import GRU, LSTM, Flatten, ResidualGRU, ResidualLSTM

RAW = (3, 600)
EPOCH = (3, 1800)
SPECTROGRAM = (3, 33, 7)

NORMALIZERS = [
    (partial(Clip, value=1.0), RAW),
    (partial(Affine, gain=2.0, bias=1.0), RAW),
    (partial(ClipAndScale, minimum=-1, maximum=2), RAW),
    (partial(Spectrogram, window_s=1.0, hop_s=0.5), RAW),
    (partial(Spectrogram, log=False), RAW),
    (Standardization, RAW),
    (Standardization, SPECTROGRAM),
]
NORMALIZERS_PER_WINDOW = [(StandardizeOnline, RAW), (StandardizeOnline, SPECTROGRAM)]
ENCODERS = [
    (SimpleSleepEncoder, SPECTROGRAM),
    (partial(SimpleSleepEncoder, filters=8, hidden=6), SPECTROGRAM),
    (partial(SimpleSleepEncoder, channel_recombination=False), SPECTROGRAM),
    (partial(SimpleSleepEncoder, frequency_reduction=False), SPECTROGRAM),
    (partial(SeqSleepEncoder, filters=8), SPECTROGRAM),
    (DeepSleepEncoder, EPOCH),
    (ChambonEncoder, EPOCH),
    (TsinalisEncoder, EPOCH),
    (RobustSleepEncoder, SPECTROGRAM),
    (partial(RobustSleepEncoder, filters=8, virtual_channels=2, context=5), SPECTROGRAM),
]
REDUCERS = [
    (AttentionReducer, (6, 7)),
    (partial(AttentionReducer, context=3), (6, 7)),
    (partial(PoolReducer, how="max"), (6, 7)),
    (partial(PoolReducer, how="average"), (6, 7)),
    (FlattenReducer, (6, 7)),
    (FlattenReducer, (6, 7, 3)),
    (ProjectedAttentionReducer, (6, 7)),
    (partial(ProjectedAttentionReducer, width=4, context=3), (6, 7)),
]
FEATURES_ENCODERS = [
    (FullyConnectedFeatures, 6),
    (partial(FullyConnectedFeatures, layers=(7, 4), dropout=0.3), 6),
    (partial(FullyConnectedFeatures, layers=()), 6),
]
SEQUENCE_ENCODERS = [
    (ResidualGRU, 6),
    (partial(ResidualGRU, hidden=4, layers=3, dropout=0.1), 6),
    (GRU, 6),
    (partial(GRU, hidden=4, layers=3), 6),
    (LSTM, 6),
    (partial(LSTM, hidden=4, layers=3), 6),
    (partial(ResidualLSTM, hidden=8), 6),
    (partial(ResidualLSTM, hidden=4, layers=1), 6),
]
ONE_PER_WINDOW = [(Flatten, 6), (partial(Flatten, layers=(7, 4)), 6)]
CONTEXT = 5


def made(part, *facts):
    torch.manual_seed(0)
    module = part(*facts)
    if isinstance(module, Standardization):
        module.update(torch.randn(4, *module.output_shape))
        module.finish_fit()
    return module.eval()


CASES = [
    # module, its input for 4 epochs or windows, the declared shape of one output
    *((lambda p=p, s=s: made(p, s, 60.0), s, lambda m: m.output_shape) for p, s in NORMALIZERS),
    *((lambda p=p, s=s: made(p, s, 60.0), s, lambda m: m.output_shape) for p, s in ENCODERS),
    (lambda: made(ChannelAttention, 6, 2, 4), (3, 5, 6), lambda _: (5, 2, 6)),
    *((lambda p=p, s=s: made(p, s), s, lambda m: (m.width,)) for p, s in REDUCERS),
    *(
        (lambda p=p, w=w: made(p, w), (CONTEXT, w), lambda m: (CONTEXT, m.width))
        for p, w in FEATURES_ENCODERS
    ),
    *(
        (lambda p=p, w=w: made(p, w, CONTEXT), (CONTEXT, w), lambda m: (CONTEXT, m.width))
        for p, w in SEQUENCE_ENCODERS
    ),
    *(
        (lambda p=p, w=w: made(p, w, CONTEXT), (CONTEXT, w), lambda m: (1, m.width))
        for p, w in ONE_PER_WINDOW
    ),
    *(
        (lambda p=p, s=s: made(p, s, 60.0), (CONTEXT, *s), lambda m: (CONTEXT, *m.output_shape))
        for p, s in NORMALIZERS_PER_WINDOW
    ),
]
every_part = pytest.mark.parametrize(
    ("make", "shape", "declared"), CASES, ids=[type(make()).__name__ for make, _, _ in CASES]
)


def parts_of_the_room():
    """Every public module class that no other one is derived from."""
    found = set()
    for info in pkgutil.walk_packages(sleep_lab.models.__path__, "sleep_lab.models."):
        for name, member in vars(importlib.import_module(info.name)).items():
            if (
                inspect.isclass(member)
                and issubclass(member, nn.Module)
                and member.__module__.startswith("sleep_lab.models.")
                and not name.startswith("_")
                and not member.__subclasses__()
            ):
                found.add(member)
    return found - {ModuloNet, GroupEncoder}


def test_every_part_of_the_room_has_a_contract_test():
    assert parts_of_the_room() == {type(make()) for make, _, _ in CASES}


@every_part
def test_a_part_gives_the_shape_that_it_declares(make, shape, declared):
    module = make()
    assert module(torch.randn(4, *shape)).shape == (4, *declared(module))


@every_part
def test_a_part_leaves_its_input_as_it_was(make, shape, declared):
    x = torch.randn(4, *shape)
    before = x.clone()
    make()(x)
    assert torch.equal(x, before)


@every_part
def test_a_part_treats_every_row_of_a_batch_alone(make, shape, declared):
    module, x = make(), torch.randn(4, *shape)
    alone = torch.cat([module(row[None]) for row in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-5, atol=1e-6)


@every_part
def test_a_part_does_not_care_how_its_input_lies_in_memory(make, shape, declared):
    module, x = make(), torch.randn(4, *shape)
    last_axis_outside = x.movedim(-1, 0).contiguous().movedim(0, -1)
    torch.testing.assert_close(module(x), module(last_axis_outside), rtol=1e-5, atol=1e-6)


@every_part
def test_gradients_reach_the_input_and_every_weight(make, shape, declared):
    module, x = make(), torch.randn(4, *shape, requires_grad=True)
    output = module(x)
    (output * torch.randn_like(output)).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@every_part
def test_a_part_is_the_same_after_saving_copying_or_pickling(make, shape, declared):
    module, x = make(), torch.randn(4, *shape)
    torch.manual_seed(1)
    fresh = copy.deepcopy(module)
    for weight in fresh.parameters():
        weight.data.normal_()
    fresh.load_state_dict(module.state_dict())
    for other in (fresh, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), module(x))
