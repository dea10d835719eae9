"""From raw samples to what a network reads: in integers, as a device does it (docs/frontends.md), and in floats, which
the integers are measured against."""
