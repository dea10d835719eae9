"""A model judged as it is used: on continuous signals whose events are known."""
