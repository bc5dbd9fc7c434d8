"""Reports of made-up nights."""

from datetime import datetime

import numpy as np

from sleep_lab.evaluation.report import (
    BlandAltmanPlot,
    ReliabilityDiagram,
    Report,
    ReportNight,
    ReportTable,
    ReviewCurve,
    ReviewItem,
    Spectrogram,
)

MARKUP = "</script><img src=x onerror=\"document.title='broken'\">&amp;'\"<b>"


def made_up_night(name: str, epochs: int = 240, scorers: int = 2, seed: int = 0) -> ReportNight:
    """A night whose parts are all there, starting at epoch 60 of a recording from 22:30."""
    rng = np.random.default_rng(seed)
    hypnograms = {
        f"scorer {number}": rng.integers(-1, 5, epochs // 8).repeat(8).astype(np.int8)
        for number in range(scorers)
    }
    hypnodensity = rng.dirichlet(np.ones(5), epochs).astype(np.float32)
    hypnograms["model"] = hypnodensity.argmax(axis=1).astype(np.int8)
    return ReportNight(
        id=name,
        hypnograms=hypnograms,
        start_time=datetime(2024, 3, 1, 22, 30),
        first_epoch=60,
        hypnodensity=hypnodensity,
        hypnodensity_name="model",
        reference="scorer 0",
        spectrogram=Spectrogram(
            times=(60 + np.arange(epochs)) * 30.0,
            frequencies=np.arange(181) / 6,
            power=rng.normal(0, 10, (epochs, 181)),
            name="C3-M2",
        ),
    )


def made_up_report(names: tuple[str, ...], epochs: int = 240, scorers: int = 2) -> Report:
    """A report in which every part is there; the nights' accuracies are 0.90, 0.89, ..."""
    nights = [made_up_night(name, epochs, scorers, seed) for seed, name in enumerate(names)]
    rows = [
        [name, 1000 + number, 0.90 - number / 100, None if number == 1 else number - 3.5]
        for number, name in enumerate(names)
    ]
    points = np.arange(float(len(names)))
    bins = np.array([0.25, 0.75])
    return Report(
        title="Made up",
        subtitle="a report of nobody",
        nights=nights,
        tables=[
            ReportTable("Models", ["Model", "F1"], [["model", "0.81 (0.78 to 0.84)"]], "A note."),
            ReportTable("Per night", ["Night", "Epochs", "Accuracy", "Kappa"], rows),
        ],
        confusion={"model": np.arange(25).reshape(5, 5)},
        bland_altman=[
            BlandAltmanPlot(
                "Total sleep time", "min", names, 400 + points, points, 1.0, (-1.0, 3.0)
            )
        ],
        reliability=[ReliabilityDiagram("All stages", bins, bins, np.array([10, 30]), 0.02)],
        review=[ReviewItem(names[-1], 200, 1, 0.61, "or N2"), ReviewItem(names[0], 70, 4, 0.5)],
        review_curve=ReviewCurve(bins, {"by uncertainty": np.array([0.9, 0.95])}),
        notes=["Nothing was cut."],
    )
