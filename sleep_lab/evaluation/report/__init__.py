"""An evaluation as one HTML file that a person opens in a browser, without a network."""

from sleep_lab.evaluation.report.page import write_report
from sleep_lab.evaluation.report.report import (
    BlandAltmanPlot,
    Cell,
    ReliabilityDiagram,
    Report,
    ReportNight,
    ReportTable,
    ReviewCurve,
    ReviewItem,
    Spectrogram,
)

__all__ = [
    "BlandAltmanPlot",
    "Cell",
    "ReliabilityDiagram",
    "Report",
    "ReportNight",
    "ReportTable",
    "ReviewCurve",
    "ReviewItem",
    "Spectrogram",
    "write_report",
]
