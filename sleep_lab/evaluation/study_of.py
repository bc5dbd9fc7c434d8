"""Making a study: of staged nights, or of hypnograms that exist already."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sleep_lab.errors import InputError
from sleep_lab.evaluation.alignment import AlignedNight, Alignment, Lights, align
from sleep_lab.evaluation.consensus import consensus, ranking, soft_agreement
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.scorings import Hypnograms, of_records
from sleep_lab.evaluation.study import CONSENSUS, EXPERT, Study, StudyNight, StudyOptions
from sleep_lab.evaluation.weighted_scores import Conventions


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
    begins = {r.id: r.first_epoch for r in first.values()}
    starts: dict[str, int] | None = begins
    if scorers is None and first and all(len(r.scorings) > 1 for r in first.values()):
        names = next(iter(first.values())).scorings
        scorers = {name: {r.id: r.scorings[name] for r in first.values()} for name in names}
        # lights are counted from the recording's start, these scorings from the night's
        lights = {name: _later(ends, begins.get(name, 0)) for name, ends in options.lights.items()}
        options, starts = replace(options, lights=lights), None
    if scorers is None:
        if options.conventions != Conventions():
            raise InputError(
                "absent_stage and weighting are for several scorers, and there is one expert at "
                "most; leave them out, or give scorers=FOLDER_OR_NPZ"
            )
        if EXPERT in results:
            raise InputError(f"a model is called {EXPERT!r} as what it is compared with; rename it")
        alone = [
            _with_expert({model: by_model[model][name] for model in by_model}, options.lights)
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
    twice = sorted(({*models} & {*scorers}) | ({CONSENSUS} & {*models, *scorers}))
    if twice:
        raise InputError(
            f"{twice[0]!r} is the name of two hypnograms ({CONSENSUS!r} is the scorers'); rename it"
        )
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
    whole = result
    if result is not None:
        before, _ = night.cut.predictions[models[0]]
        result = _cut(result, before, before + night.scorings.shape[1])
    return StudyNight(
        night.record,
        {name: predictions[name] for name in models},
        dict(zip(alignment.scorers, night.scorings, strict=True)),
        consensus(night.scorings[rank]).stages,
        result,
        whole,
        night.cut.first if result is None else result.first_epoch,
        night.cut.text if night.cut.is_cut else "",
    )


def _with_expert(results: Mapping[str, NightResult], lights: Lights) -> StudyNight:
    """A night against its expert, from lights off to lights on."""
    whole = next(iter(results.values()))
    off, on = _later(lights.get(whole.id, (None, None)), whole.first_epoch)
    first, last = off or 0, min(whole.epochs if on is None else on, whole.epochs)
    if first >= last:
        raise InputError(
            f"night {whole.id}: nothing is left of its {whole.epochs} sleep epochs between lights "
            "off and on"
        )
    result = _cut(whole, first, last)
    kept = f"{whole.id}: {last - first} of {whole.epochs} epochs kept, by lights off and on"
    return StudyNight(
        whole.id,
        {model: result.hypnogram[first:last] for model, result in results.items()},
        {},
        result.scored_expert,
        result,
        whole,
        result.first_epoch,
        kept if last - first < whole.epochs else "",
    )


def _later(ends: tuple[int | None, int | None], start: int) -> tuple[int | None, int | None]:
    """Lights counted from the recording's start, counted from sleep epoch `start` instead."""
    off, on = (None if end is None else max(end - start, 0) for end in ends)
    return off, on


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
