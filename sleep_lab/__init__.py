"""Train, compare and run automatic sleep staging."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sleep-lab")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
