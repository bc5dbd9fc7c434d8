"""An evaluation as a whole: models, an expert or several scorers, and all that is told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.alignment import Alignment, LengthMismatch, Lights
from sleep_lab.evaluation.bland_altman import StatisticAgreement, agreement_per_statistic
from sleep_lab.evaluation.bootstrap import (
    Resampling,
    bca_interval,
    estimate,
    mean_over_nights,
    pooled,
)
from sleep_lab.evaluation.calibration import (
    Reliability,
    brier_score,
    cosine_similarity,
    cross_entropy,
    disagreement_auc,
    hard_labels,
    reliability,
    reliability_per_stage,
    scorer_distribution,
)
from sleep_lab.evaluation.comparison_summary import plain, summarise_comparison
from sleep_lab.evaluation.metrics import (
    Floats,
    accuracy,
    cohen_kappa,
    confusion_matrix,
    macro_f1,
    ratio,
    weighted_f1,
)
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.review import review_curve
from sleep_lab.evaluation.sleep_statistics import (
    SleepStatistics,
    sleep_statistics,
    transition_counts,
)
from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.evaluation.weighted_scores import Conventions
from sleep_lab.stages import UNSCORED

EXPERT = "expert"
CONSENSUS = "consensus"
SOFT_SCORES = (cross_entropy, brier_score, cosine_similarity)


@dataclass(frozen=True)
class StudyOptions:
    """What an evaluation leaves open.

    Attributes:
        conventions: how scores against a consensus are computed.
        resampling: how intervals are found.
        lights: see `sleep_lab.evaluation.alignment.Lights`.
        length_mismatch: what to do with hypnograms of other lengths; see `align`.
    """

    conventions: Conventions = field(default_factory=Conventions)
    resampling: Resampling = field(default_factory=Resampling)
    lights: Lights = field(default_factory=dict)
    length_mismatch: LengthMismatch = "error"


@dataclass(frozen=True, eq=False)
class StudyNight:
    """A night: hypnograms of one number of sleep epochs.

    Attributes:
        id: the night's name.
        models: each model's hypnogram.
        scorings: each scorer's, none or two and more.
        reference: what models are compared with epoch by epoch: the expert's hypnogram, or the
            consensus of all scorers; None if nobody scored the night.
        result: the hypnodensity and signal that the first model's hypnogram is of, or None.
        whole: the same as it was staged, before anything was cut.
        first_epoch: number of the first of these epochs in the recording or in the scorings.
        note: what was cut to align the hypnograms, or "".
    """

    id: str
    models: Mapping[str, NDArray[np.int8]]
    scorings: Mapping[str, NDArray[np.int8]]
    reference: NDArray[np.int8] | None
    result: NightResult | None = None
    whole: NightResult | None = None
    first_epoch: int = 0
    note: str = ""

    def hypnograms(self, reference: str) -> dict[str, NDArray[np.int8]]:
        """All of them by name, that of the reference first."""
        first = {} if self.reference is None else {reference: self.reference}
        return {**first, **self.scorings, **self.models}

    @property
    def labels(self) -> Floats | None:
        """(epochs, 5) the scorers' distribution, or the expert's stages; nan where unscored."""
        if self.scorings:
            return scorer_distribution(np.stack(list(self.scorings.values())))
        return None if self.reference is None else hard_labels(self.reference)


@dataclass(frozen=True, eq=False)
class Study:
    """Nights of an evaluation, and what is told of them all.

    Attributes:
        nights: sorted by id.
        reference: what `StudyNight.reference` is: "expert", "consensus" or "".
        options: see there.
        alignment: the hypnograms against the scorers, where there are two or more.
    """

    nights: tuple[StudyNight, ...]
    reference: str
    options: StudyOptions
    alignment: Alignment | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names, first the one whose hypnodensities there are."""
        return tuple(self.nights[0].models) if self.nights else ()

    @property
    def scored(self) -> tuple[StudyNight, ...]:
        """The nights with something to compare with."""
        return tuple(n for n in self.nights if n.reference is not None)

    @cached_property
    def comparison(self) -> dict[str, Any] | None:
        """See `summarise_comparison`; None without scorers."""
        if self.alignment is None:
            return None
        options = self.options
        return summarise_comparison(self.alignment, options.conventions, options.resampling)

    @cached_property
    def statistics(self) -> dict[str, dict[str, SleepStatistics]]:
        """Model, scorer or reference -> night -> sleep statistics."""
        found: dict[str, dict[str, SleepStatistics]] = {}
        for night in self.nights:
            for name, hypnogram in night.hypnograms(self.reference).items():
                found.setdefault(name, {})[night.id] = sleep_statistics(hypnogram)
        return found

    @cached_property
    def transitions(self) -> dict[str, NDArray[np.int64]]:
        """Model, scorer or reference -> (5, 5) changes from stage to stage, of all nights."""
        found: dict[str, NDArray[np.int64]] = {}
        for night in self.nights:
            for name, hypnogram in night.hypnograms(self.reference).items():
                found[name] = found.get(name, 0) + transition_counts(hypnogram)
        return found

    @cached_property
    def statistics_agreement(self) -> dict[str, dict[str, StatisticAgreement]]:
        """Model -> sleep statistic -> agreement with the reference; {} for less than two nights."""
        reference = self.statistics.get(self.reference, {})
        if len(reference) < 2:
            return {}
        return {
            model: agreement_per_statistic(
                {night: self.statistics[model][night] for night in reference}, reference
            )
            for model in self.models
        }

    def metrics(self) -> dict[str, Any]:
        """What JSON can hold of it, beside the scores of each night; {} if nobody scored any.

        "intervals" of the scores against an expert; "models", "scorers", "overall_scorers" and
        "comparison" (see `summarise_comparison`) where there are scorers; "hypnodensity" against
        the scorers' distribution or the expert's stages; "sleep_statistics": each model's agreement
        with the reference; "transitions" from stage to stage; "review": what reviewing the least
        certain epochs is worth.
        """
        if not self.scored:
            return {}
        found: dict[str, Any] = {}
        if self.comparison is not None:
            told = dict(self.comparison)
            found |= {key: told.pop(key) for key in ("models", "scorers", "overall_scorers")}
            found["comparison"] = told
        else:
            found["intervals"] = self._intervals()
        staged = [n for n in self.scored if n.result is not None]
        if staged:
            found["hypnodensity"] = self._hypnodensity_scores(staged)
            found["review"] = {"area": self.review(staged).area}
        found["transitions"] = self.transitions
        found["sleep_statistics_per_night"] = {
            name: {night: asdict(told) for night, told in nights.items()}
            for name, nights in self.statistics.items()
        }
        if self.statistics_agreement:
            found["sleep_statistics"] = {
                model: {name: asdict(agreement) for name, agreement in agreements.items()}
                for model, agreements in self.statistics_agreement.items()
            }
        return plain(found)

    def confusion(self, model: str) -> NDArray[np.int64]:
        """(5, 5) number of epochs, rows the reference's stages, of all nights together."""
        return np.sum([_confusion(n, model) for n in self.scored], axis=0)

    def review(self, staged: Sequence[StudyNight]) -> Any:
        """The review curve of the first model over these nights."""
        return review_curve(_hypnodensity(staged), np.concatenate([n.reference for n in staged]))

    def calibration(self, uncalibrated: bool = False) -> dict[str, Reliability]:
        """Reliability of the first model's hypnodensities: "all stages" and each stage's.

        Args:
            uncalibrated: as they were before temperature scaling.
        """
        staged = [n for n in self.scored if n.result is not None]
        if not staged:
            return {}
        hypnodensity, labels = _hypnodensity(staged, uncalibrated), _labels(staged)
        return {
            "all stages": reliability(hypnodensity, labels),
            **reliability_per_stage(hypnodensity, labels),
        }

    @property
    def is_calibrated(self) -> bool:
        """Whether the first model's hypnodensities went through temperature scaling."""
        return any(n.result is not None and n.result.uncalibrated is not None for n in self.nights)

    def _intervals(self) -> dict[str, Any]:
        """Of the mean over nights and of the pooled score, [low, high] each."""
        resampling, nights = self.options.resampling, len(self.scored)
        confusions = np.stack([_confusion(n, self.models[0]) for n in self.scored]).astype(float)
        mean = bca_interval(mean_over_nights(_scores(confusions)[:, None]), nights, resampling)
        whole = bca_interval(pooled(confusions, _scores), nights, resampling)
        return {
            **asdict(resampling),
            "mean": dict(zip(OVERALL, mean.T.tolist(), strict=True)),
            "pooled": dict(zip(OVERALL, whole.T.tolist(), strict=True)),
        }

    def _hypnodensity_scores(self, staged: Sequence[StudyNight]) -> dict[str, Any]:
        def scores(uncalibrated: bool) -> dict[str, Any]:
            per_night = np.array(
                [
                    [score(_hypnodensity([n], uncalibrated), _labels([n])) for score in SOFT_SCORES]
                    for n in staged
                ]
            )
            # the score of all epochs together, as a mean of the nights' by their labelled epochs
            sums = np.where(epochs[:, None] > 0, per_night, 0) * epochs[:, None]

            def together(draws: Floats) -> Floats:
                return ratio(draws @ sums, (draws @ epochs)[:, None])

            names = [score.__name__ for score in SOFT_SCORES]
            whole = estimate(together, len(staged)).tolist()
            interval = bca_interval(together, len(staged), self.options.resampling)
            return {
                **dict(zip(names, whole, strict=True)),
                "intervals": dict(zip(names, interval.T.tolist(), strict=True)),
                "calibration_error": {
                    name: found.calibration_error
                    for name, found in self.calibration(uncalibrated).items()
                },
            }

        labelled = [np.isfinite(_labels([n])).all(1).sum() for n in staged]
        epochs = np.array(labelled, dtype=np.float64)
        found = {"labels": "scorers" if staged[0].scorings else EXPERT, **scores(False)}
        if staged[0].scorings:
            scorings = [np.stack(list(n.scorings.values())) for n in staged]
            found["disagreement_auc"] = disagreement_auc(
                _hypnodensity(staged), np.concatenate(scorings, axis=1)
            )
        if self.is_calibrated:
            found["uncalibrated"] = scores(True)
        return found


def _confusion(night: StudyNight, model: str) -> NDArray[np.int64]:
    assert night.reference is not None
    predicted = night.models[model]
    # a model may have left epochs out, which a confusion of stages has no column for
    reference = np.where(predicted == UNSCORED, UNSCORED, night.reference)
    return confusion_matrix(reference, np.where(predicted == UNSCORED, 0, predicted))


def _scores(confusions: NDArray[Any]) -> Floats:
    """(..., 5, 5) to (..., 4), in the order of OVERALL."""
    functions = {
        "accuracy": accuracy,
        "cohen_kappa": cohen_kappa,
        "weighted_f1": weighted_f1,
        "macro_f1": macro_f1,
    }
    return np.stack([functions[name](confusions) for name in OVERALL], axis=-1)


def _hypnodensity(nights: Sequence[StudyNight], uncalibrated: bool = False) -> Floats:
    found = []
    for night in nights:
        assert night.result is not None
        before = night.result.uncalibrated if uncalibrated else None
        found.append(night.result.hypnodensity if before is None else before)
    return np.concatenate(found)


def _labels(nights: Sequence[StudyNight]) -> Floats:
    return np.concatenate([labels for n in nights if (labels := n.labels) is not None])
