"""The version of DiTMoS: of the host, the firmware and the wheel. The one place it stands in."""

__version__ = "0.1.0"
