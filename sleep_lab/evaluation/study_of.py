"""Making a study: of staged nights, or of hypnograms that exist already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sleep_lab.errors import InputError
from sleep_lab.evaluation.alignment import AlignedNight, Alignment, align
from sleep_lab.evaluation.consensus import consensus, ranking, soft_agreement
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.scorings import Hypnograms, of_records
from sleep_lab.evaluation.study import CONSENSUS, EXPERT, Study, StudyNight, StudyOptions


def study_of_results(
    results: Mapping[str, Sequence[NightResult]],
    scorers: Hypnograms | None = None,
    options: StudyOptions | None = None,
) -> Study:
    """A study of staged nights.

    Args:
        results: model -> its nights, of which each model has the same. The first model is the one
            whose hypnodensities are looked at.
        scorers: scorings of whole recordings; None takes those that the nights carry, if they do,
            or else the expert's.
        options: see there.

    Raises:
        InputError: models with different nights, or hypnograms that cannot be aligned.
    """
    options = options or StudyOptions()
    by_model = {name: {r.id: r for r in nights} for name, nights in results.items()}
    first = next(iter(by_model.values()))
    for name, nights in by_model.items():
        if nights.keys() != first.keys():
            raise InputError(f"model {name} has other nights than the first; give each the same")
    starts: dict[str, int] | None = {r.id: r.first_epoch for r in first.values()}
    if scorers is None and first and all(len(r.scorings) > 1 for r in first.values()):
        names = next(iter(first.values())).scorings
        scorers = {name: {r.id: r.scorings[name] for r in first.values()} for name in names}
        starts = None
    if scorers is None:
        alone = [
            StudyNight(
                name,
                {model: by_model[model][name].hypnogram for model in by_model},
                {},
                first[name].scored_expert,
                first[name],
                first[name].first_epoch,
            )
            for name in sorted(first)
        ]
        return Study(tuple(alone), EXPERT, options)
    hypnograms = {
        model: {name: result.hypnogram for name, result in nights.items()}
        for model, nights in by_model.items()
    }
    return study_of_hypnograms(hypnograms, of_records(scorers, first), options, starts, first)


def study_of_hypnograms(
    models: Hypnograms,
    scorers: Hypnograms,
    options: StudyOptions | None = None,
    starts: Mapping[str, int] | None = None,
    results: Mapping[str, NightResult] | None = None,
) -> Study:
    """A study of hypnograms that exist already.

    Args:
        models: each with the same nights.
        scorers: two or more, each with the models' nights.
        options: see there.
        starts: see `align`.
        results: the first model's staged nights.

    Raises:
        InputError: hypnograms that cannot be aligned.
    """
    options = options or StudyOptions()
    alignment = align(scorers, models, options.lights, starts, options.length_mismatch)
    nights = [
        _of_aligned(night, alignment, list(models), (results or {}).get(night.record))
        for night in alignment.nights
    ]
    return Study(tuple(nights), CONSENSUS, options, alignment)


def _of_aligned(
    night: AlignedNight, alignment: Alignment, models: Sequence[str], result: NightResult | None
) -> StudyNight:
    predictions = dict(zip(alignment.models, night.predictions, strict=True))
    rank = ranking(soft_agreement(night.scorings), alignment.scorers)
    if result is not None:
        before, _ = night.cut.predictions[models[0]]
        result = _cut(result, before, before + night.scorings.shape[1])
    return StudyNight(
        night.record,
        {name: predictions[name] for name in models},
        dict(zip(alignment.scorers, night.scorings, strict=True)),
        consensus(night.scorings[rank]).stages,
        result,
        night.cut.first if result is None else result.first_epoch,
        night.cut.text if night.cut.first or night.cut.cut_after else "",
    )


def _cut(result: NightResult, first: int, last: int) -> NightResult:
    """The sleep epochs from `first` up to, not including, `last` of a staged night."""
    signal = result.signal
    if signal is not None:
        samples = len(signal) // result.epochs
        signal = signal[first * samples : last * samples]
    return replace(
        result,
        hypnodensity=result.hypnodensity[first:last],
        uncalibrated=None if result.uncalibrated is None else result.uncalibrated[first:last],
        expert=None if result.expert is None else result.expert[first:last],
        scorings={name: scoring[first:last] for name, scoring in result.scorings.items()},
        signal=signal,
        first_epoch=result.first_epoch + first,
    )
