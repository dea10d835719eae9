"""Forests on features made by hand: grown, put before a network, written as a model (docs/experts.md)."""
