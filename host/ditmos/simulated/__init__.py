"""The simulated board: qemu."""
