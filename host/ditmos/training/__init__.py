"""Training: what a budget buys, from data to the best routed network."""
