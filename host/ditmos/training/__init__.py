"""Training: METHOD's stages, the recipes that order them, and runs on disk."""

from ditmos.training.data import load_data, prepare
from ditmos.training.run import Run, load_run, train_run

__all__ = ["Run", "load_data", "load_run", "prepare", "train_run"]
