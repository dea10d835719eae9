"""Torch modules of routed networks: as they are exported, and as they are trained."""
