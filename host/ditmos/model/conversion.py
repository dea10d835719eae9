"""Units of channels: what of one makes how much of another. Names as sensors' makers and file headers write them."""

from __future__ import annotations

from math import pi
from typing import NamedTuple

from ditmos.errors import DitmosError

_G = 9.80665  # m/s^2, by definition


class Conversion(NamedTuple):
    """``new = old * factor + offset``."""

    factor: float
    offset: float = 0.0

    @property
    def same(self) -> bool:
        return self.factor == 1.0 and self.offset == 0.0


# Of each quantity the units, and how much of the first one they are.
_QUANTITIES: tuple[dict[str, float], ...] = (
    {"m/s^2": 1.0, "g": _G, "mg": _G / 1000, "ug": _G / 1e6, "cm/s^2": 0.01, "mm/s^2": 0.001},
    {"rad/s": 1.0, "deg/s": pi / 180, "mdeg/s": pi / 180_000, "mrad/s": 0.001, "rpm": pi / 30},
    {"rad": 1.0, "deg": pi / 180, "mrad": 0.001},
    {"V": 1.0, "kV": 1000.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9},
    {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9},
    {"T": 1.0, "mT": 1e-3, "uT": 1e-6, "nT": 1e-9, "gauss": 1e-4, "mgauss": 1e-7},
    {"Pa": 1.0, "hPa": 100.0, "kPa": 1000.0, "mbar": 100.0, "bar": 1e5, "mmHg": 133.322387415},
    {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9},
    {"Ohm": 1.0, "kOhm": 1e3, "MOhm": 1e6},
    {"m": 1.0, "km": 1000.0, "cm": 0.01, "mm": 0.001, "um": 1e-6},
    {"m/s": 1.0, "km/h": 1 / 3.6, "cm/s": 0.01, "mm/s": 0.001},
    {"Hz": 1.0, "1/min": 1 / 60, "kHz": 1000.0},
    {"N": 1.0, "mN": 1e-3, "kN": 1e3},
    {"full scale": 1.0, "%": 0.01},
)
# Temperatures: kelvin of one degree, and of zero degrees.
_KELVIN = {"K": (1.0, 0.0), "degC": (1.0, 273.15), "cdegC": (0.01, 273.15), "degF": (5 / 9, 459.67 * 5 / 9)}
_OTHER_NAMES = {
    "m/s2": "m/s^2", "m/s/s": "m/s^2", "ms-2": "m/s^2", "ms^-2": "m/s^2", "meters/s2": "m/s^2", "milli-g": "mg",
    "dps": "deg/s", "mdps": "mdeg/s", "degrees/s": "deg/s", "°/s": "deg/s", "radians/s": "rad/s", "°": "deg",
    "degrees": "deg", "volt": "V", "volts": "V", "microv": "uV", "millivolt": "mV", "microvolt": "uV", "ga": "gauss",
    "microtesla": "uT", "tesla": "T", "microsiemens": "uS", "siemens": "S", "ohms": "Ohm", "Ω": "Ohm", "bpm": "1/min",
    "c": "degC", "°c": "degC", "celsius": "degC", "f": "degF", "°f": "degF", "fahrenheit": "degF", "kelvin": "K",
    "torr": "mmHg", "meters": "m", "newton": "N", "fs": "full scale",
}  # fmt: skip
_KNOWN = [*(name for quantity in _QUANTITIES for name in quantity), *_KELVIN]
# Letters of another size mean the same where that is one unit only: mV is no MV, but DPS and degc are known.
_BY_LOWER = {name.lower(): name for name in _KNOWN} | {other.lower(): name for other, name in _OTHER_NAMES.items()}


def plain(text: str) -> str:
    """A unit as this project writes it, ``m/s^2``, ``deg/s``, ``uT``; others as they are, without blanks around."""
    short = "".join(c for c in text.replace(" per ", "/") if c not in " *·()[]").replace("²", "^2").replace("⁻", "-")
    short = short.replace("µ", "u").replace("μ", "u").replace("/sec", "/s")
    if short in _KNOWN:
        return short
    if "full" in text.lower() and "scale" in text.lower():
        return "full scale"
    for name in (short, short.replace("^", "")):
        if name.lower() in _BY_LOWER and not _two_sizes(name):
            return _BY_LOWER[name.lower()]
    return text.strip()


def is_unit(text: str) -> bool:
    """Whether that is the name of a unit, and of nothing else that a column may be called."""
    return plain(text) in _KNOWN


def _two_sizes(name: str) -> bool:
    """Whether m and M, or s and S, would be two units."""
    return sum(known.lower() == name.lower() for known in _KNOWN) > 1


def conversion(old: str, new: str) -> Conversion | None:
    """From one unit to another; None where they do not measure the same, or one is not known here."""
    old, new = plain(old), plain(new)
    if old == new:
        return Conversion(1.0)
    for quantity in _QUANTITIES:
        if old in quantity and new in quantity:
            return Conversion(quantity[old] / quantity[new])
    if old in _KELVIN and new in _KELVIN:
        (degree, zero), (new_degree, new_zero) = _KELVIN[old], _KELVIN[new]
        return Conversion(degree / new_degree, (zero - new_zero) / new_degree)
    return None


def convert(old: str, new: str, name: str) -> Conversion:
    """The same. Raises DitmosError that begins with ``name``."""
    found = conversion(old, new)
    if found is None:
        raise DitmosError(f"{name} is in {old}, which is not known to make {new}; name the units that it is in")
    return found
