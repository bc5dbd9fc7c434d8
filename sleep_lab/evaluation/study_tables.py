"""The tables of a study's report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sleep_lab.evaluation.metrics import scores_of
from sleep_lab.evaluation.report import ReportTable
from sleep_lab.evaluation.sleep_statistics import (
    STATISTICS,
    statistic_values,
    transition_probabilities,
)
from sleep_lab.evaluation.study import Study
from sleep_lab.evaluation.weighted_scores import OVERALL
from sleep_lab.stages import STAGES

UNITS = {"min": "min", "percent": "%", "per_h": "per h"}
NAMES = {
    "weighted_f1": "weighted F1",
    "accuracy": "accuracy",
    "cohen_kappa": "kappa",
    "macro_f1": "macro F1",
}


def tables_of(study: Study, metrics: Mapping[str, Any]) -> Iterable[ReportTable]:
    """All tables of a study; `metrics` are those of `write_study`."""
    if study.comparison is not None:
        yield from _comparison_tables(study.comparison)
    elif study.scored:
        yield _expert_table(metrics)
    if study.scored:
        yield _night_table(study)
    if study.nights:
        yield _statistics_table(study)
    if study.statistics_agreement:
        yield from _agreement_tables(study)
    if study.scored:
        yield _transition_table(study)
    if "hypnodensity" in metrics:
        yield _hypnodensity_table(metrics["hypnodensity"])


def comparison_title(kind: str) -> str:
    """What to call the "published" or the "fair" comparison."""
    if kind == "published":
        return "Published comparison: models against the best N-1 scorers, scorers against the rest"
    return "Fair comparison: models and scorers against the same N-1 scorers"


def spread(pair: Sequence[float | None]) -> str:
    """Mean and standard deviation in percent."""
    mean, std = pair
    return "-" if mean is None or std is None else f"{100 * mean:.1f} ± {100 * std:.1f}"


def with_interval(value: float, interval: Sequence[float]) -> str | None:
    """A value and its interval; None if there is no value."""
    if np.isnan(value):
        return None
    if np.isnan(interval).any():
        return f"{value:.2f}"
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def unit_of(statistic: str) -> str:
    """The unit of a sleep statistic, which ends its name."""
    return next((unit for ending, unit in UNITS.items() if statistic.endswith(f"_{ending}")), "")


def statistic_name(statistic: str) -> str:
    """A sleep statistic in words, with its unit."""
    unit = unit_of(statistic)
    name = statistic
    for ending in UNITS:
        name = name.removesuffix(f"_{ending}")
    words = name.replace("_", " ")
    words = words.upper() if words.upper() in STAGES else words
    return f"{words} ({unit})" if unit else words


def _comparison_tables(comparison: Mapping[str, Any]) -> Iterable[ReportTable]:
    convention = comparison["conventions"]["text"]
    confidence = comparison["conventions"]["confidence"]
    for kind in ("published", "fair"):
        told, intervals = comparison[kind]["table"], comparison[kind]["intervals"]
        rows: list[list[Any]] = []
        for group in ("models", "scorers"):
            for name, scores in told[group].items():
                rows.append([name, *_cells(scores, intervals[group][name])])
        overall = _cells(told["overall_scorers"], intervals["overall_scorers"])
        rows.append(["overall scorers", *overall])
        yield ReportTable(
            comparison_title(kind),
            ["", *(NAMES[score] for score in OVERALL)],
            rows,
            f"Mean ± population standard deviation over nights, in percent, with {confidence:.0%} "
            f"BCa bootstrap interval of the mean; {convention}.",
        )
    yield ReportTable(
        "On unanimous and on split epochs (fair comparison)",
        ["", *(f"{NAMES[s]}, {part}" for s in OVERALL for part in ("unanimous", "split"))],
        [
            [
                name,
                *(
                    spread(comparison["fair"][part][group][name][score])
                    for score in OVERALL
                    for part in ("unanimous", "split")
                ),
            ]
            for group in ("models", "scorers")
            for name in comparison["fair"]["table"][group]
        ],
        f"Mean ± standard deviation over nights, in percent; {convention}. Unanimous and split are "
        "the scorers of the reference.",
    )
    yield ReportTable(
        "Models in pairs (fair comparison, weighted F1)",
        ["first", "second", "difference", "P(first better)", "rank biserial", "p", "p (Holm)"],
        [
            [
                pair["first"],
                pair["second"],
                f"{_percent(pair['difference'])} ({_percent(pair['low'])} to "
                f"{_percent(pair['high'])})",
                pair["probability_better"],
                pair["rank_biserial"],
                pair["p_value"],
                pair["p_holm"],
            ]
            for pair in comparison["fair"]["paired"]["weighted_f1"]
        ],
        "Mean difference over nights in percentage points with bootstrap interval; Wilcoxon signed "
        f"rank test, corrected for the number of pairs; {convention}.",
    )
    agreement = comparison["agreement"]
    names = list(agreement["pairwise_kappa"])
    yield ReportTable(
        "Agreement of the scorers",
        ["", "soft agreement", *(f"kappa with {name}" for name in names)],
        [
            [
                name,
                agreement["soft_agreement"][name],
                *(agreement["pairwise_kappa"][name][other] for other in names),
            ]
            for name in names
        ],
        f"Fleiss' kappa {_number(agreement['fleiss_kappa'])}; all scorers agree in "
        f"{_percent(agreement['unanimous'])} % of the epochs.",
    )


def _expert_table(metrics: Mapping[str, Any]) -> ReportTable:
    intervals = metrics["intervals"]
    rows = []
    for label, key in (("mean over nights", "mean"), ("pooled", "pooled")):
        spread = metrics["std"] if key == "mean" else {}
        rows.append(
            [
                label,
                *(_cell(metrics[key][s], spread.get(s), intervals[key][s]) for s in (*OVERALL,)),
            ]
        )
    return ReportTable(
        "Agreement with the expert",
        ["", *(NAMES[score] for score in OVERALL)],
        rows,
        f"In percent, ± population standard deviation, with {intervals['confidence']:.0%} BCa "
        "bootstrap interval over nights. F1 and kappa over the stages that the expert used.",
    )


def _night_table(study: Study) -> ReportTable:
    if study.comparison is not None:
        return _judged_night_table(study.comparison)
    rows: list[list[Any]] = []
    for night in study.scored:
        for model, hypnogram in night.models.items():
            single = Study((night,), study.reference, study.options)
            scores = scores_of(single.confusion(model), len(hypnogram))
            overall = [getattr(scores, name) for name in OVERALL]
            rows.append([night.id, model, scores.scored, *overall, *scores.f1.values()])
    return ReportTable(
        "Nights",
        [
            *("night", "model", "scored epochs"),
            *(NAMES[score] for score in OVERALL),
            *(f"F1 {stage}" for stage in STAGES),
        ],
        rows,
        "Against the expert; stages that the expert did not use are left out of the means.",
    )


def _judged_night_table(comparison: Mapping[str, Any]) -> ReportTable:
    rows = [
        [
            night,
            name,
            *(scores[score] for score in OVERALL),
            *(scores[f"f1_{stage}"] for stage in STAGES),
        ]
        for night, told in comparison["nights"].items()
        for group in ("models", "scorers")
        for name, scores in told[group].items()
    ]
    return ReportTable(
        "Nights",
        ["night", "name", *(NAMES[s] for s in OVERALL), *(f"F1 {stage}" for stage in STAGES)],
        rows,
        f"Published comparison; {comparison['conventions']['text']}.",
    )


def _statistics_table(study: Study) -> ReportTable:
    shown = [name for name in (study.reference, *study.models) if name in study.statistics]
    return ReportTable(
        "Sleep statistics of each night",
        ["night", "hypnogram", *map(statistic_name, STATISTICS)],
        [
            [night.id, name, *statistic_values(study.statistics[name][night.id]).tolist()]
            for night in study.nights
            for name in shown
            if night.id in study.statistics[name]
        ],
        "By the AASM manual, from the first to the last epoch of the hypnogram.",
        decimals=1,
    )


def _agreement_tables(study: Study) -> Iterable[ReportTable]:
    for model, agreements in study.statistics_agreement.items():
        yield ReportTable(
            f"Sleep statistics: {model} against the {study.reference}",
            [
                *("statistic", "bias", "lower limit", "upper limit"),
                *("proportional bias (slope)", "p", "ICC(2,1)", "ICC(3,1)", "nights"),
            ],
            [
                [
                    statistic_name(name),
                    with_interval(found.bland_altman.bias, found.bland_altman.bias_interval),
                    with_interval(found.bland_altman.limits[0], found.bland_altman.lower_interval),
                    with_interval(found.bland_altman.limits[1], found.bland_altman.upper_interval),
                    found.bland_altman.slope,
                    found.bland_altman.slope_p,
                    with_interval(found.icc_agreement.value, found.icc_agreement.interval),
                    with_interval(found.icc_consistency.value, found.icc_consistency.interval),
                    found.bland_altman.nights,
                ]
                for name, found in agreements.items()
            ],
            "Bland-Altman: model minus reference, 95% limits of agreement; 95% intervals in "
            "brackets.",
        )


def _transition_table(study: Study) -> ReportTable:
    shown = (study.reference, *study.models)
    return ReportTable(
        "Transitions",
        ["hypnogram", "from", *(f"to {stage}" for stage in STAGES)],
        [
            [name, stage, *row]
            for name in shown
            for stage, row in zip(
                STAGES, transition_probabilities(study.transitions[name]).tolist(), strict=True
            )
        ],
        "Share of the epochs after one of the stage, over all nights.",
    )


def _hypnodensity_table(scores: Mapping[str, Any]) -> ReportTable:
    versions = {"probabilities": scores}
    if "uncalibrated" in scores:
        versions = {
            "before temperature scaling": scores["uncalibrated"],
            "after temperature scaling": scores,
        }
    labels = "the scorers' distribution" if scores["labels"] == "scorers" else "the expert's stages"
    rows: list[list[Any]] = [
        [
            name,
            *(
                _with_ends(version[score], version["intervals"][score])
                for score in ("cross_entropy", "brier_score", "cosine_similarity")
            ),
            version["calibration_error"]["all stages"],
            scores.get("disagreement_auc"),
        ]
        for name, version in versions.items()
    ]
    return ReportTable(
        "Hypnodensity",
        [
            *("", "cross-entropy", "Brier score", "cosine similarity (ACS)"),
            *("calibration error", "AUC of entropy for disagreement"),
        ],
        rows,
        f"Against {labels}, over all epochs, with BCa bootstrap interval over nights. Published "
        "areas under the curve of a network's uncertainty for the scorers' disagreement: 0.828 and "
        "0.857.",
    )


def _with_ends(value: float | None, interval: Sequence[float | None]) -> str:
    if interval[0] is None:
        return _number(value)
    return f"{_number(value)} ({_number(interval[0])} to {_number(interval[1])})"


def _cells(scores: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[str]:
    return [_cell(scores[s][0], scores[s][1], intervals[s]) for s in OVERALL]


def _cell(mean: float | None, std: float | None, interval: Sequence[float | None]) -> str:
    spread = "" if std is None else f" ± {100 * std:.1f}"
    if interval[0] is None:
        return f"{_percent(mean)}{spread}"
    return f"{_percent(mean)}{spread} ({_percent(interval[0])} to {_percent(interval[1])})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
