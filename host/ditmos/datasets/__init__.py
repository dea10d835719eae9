"""Labelled windows of sensor data: the `Dataset`, its splits, loaders of public sets and a synthetic generator."""

from ditmos.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset, load, save

__all__ = ["TEST", "TRAIN", "VALIDATION", "Dataset", "load", "save"]
