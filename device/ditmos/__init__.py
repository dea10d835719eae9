"""Routed tiny models on the board."""
