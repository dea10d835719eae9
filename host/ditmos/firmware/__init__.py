"""Firmware for every board: sources, builds, images, flashing, releases."""
