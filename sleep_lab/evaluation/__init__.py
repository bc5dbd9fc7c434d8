"""How good a hypnogram is: scores against an expert, the files of a run, pictures.

`StagingMetric`, the one part that needs torch, is imported from its own module,
`sleep_lab.evaluation.staging_metric`.
"""

from sleep_lab.evaluation.metrics import (
    Scores,
    accuracy,
    cohen_kappa,
    confusion_matrix,
    evaluate,
    f1_per_stage,
    macro_f1,
    mean_and_std,
    scores_of,
    weighted_f1,
)
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.plots import plot_confusion_matrix, plot_night
from sleep_lab.evaluation.results import result_table, write_results
from sleep_lab.evaluation.spectrogram import multitaper_spectrogram

__all__ = [
    "NightResult",
    "Scores",
    "accuracy",
    "cohen_kappa",
    "confusion_matrix",
    "evaluate",
    "f1_per_stage",
    "macro_f1",
    "mean_and_std",
    "multitaper_spectrogram",
    "plot_confusion_matrix",
    "plot_night",
    "result_table",
    "scores_of",
    "weighted_f1",
    "write_results",
]
