"""Measurements: kernels and plans on the simulated Cortex-M7."""
