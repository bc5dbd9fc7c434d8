"""The metric that Lightning accumulates says what the pure functions say of the whole."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from sleep_lab.evaluation import evaluate
from sleep_lab.evaluation.staging_metric import StagingMetric


def night(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.integers(0, 5, shape)),
        torch.from_numpy(rng.integers(-1, 5, shape)),
    )


def test_batches_accumulate_to_the_scores_of_the_whole():
    prediction, target = night(0, (33, 21))
    metric = StagingMetric()
    for start in range(0, 33, 8):
        metric.update(prediction[start : start + 8], target[start : start + 8])
    found = metric.compute()
    scores = evaluate(prediction.numpy(), target.numpy())
    expected = {
        "accuracy": scores.accuracy,
        "cohen_kappa": scores.cohen_kappa,
        "weighted_f1": scores.weighted_f1,
        "macro_f1": scores.macro_f1,
    } | {f"f1_{stage}": f1 for stage, f1 in scores.f1.items()}
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected)


def test_processes_pool_their_epochs():
    prediction, target = night(1, (400,))
    here, there, whole = StagingMetric(), StagingMetric(), StagingMetric()
    here.update(prediction[:130], target[:130])
    there.update(prediction[130:], target[130:])
    whole.update(prediction, target)
    reduced = here._reductions["confusion"](torch.stack([here.confusion, there.confusion]))
    assert torch.equal(reduced, whole.confusion)
    assert whole.confusion.dtype == torch.int64


def test_reset_forgets_and_an_unscored_batch_is_undefined():
    metric = StagingMetric()
    metric.update(*night(2, (50,)))
    metric.reset()
    metric.update(torch.zeros(9, dtype=torch.int64), torch.full((9,), -1))
    assert all(value.isnan() for value in metric.compute().values())


def test_evaluation_imports_neither_torch_nor_pyplot():
    code = (
        "import sys, sleep_lab.evaluation\n"
        "print({'torch', 'torchmetrics', 'matplotlib.pyplot'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
