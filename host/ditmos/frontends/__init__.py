"""From raw samples to what a network reads."""
