"""The method as published and its baseline: stages, losses, recipes."""
