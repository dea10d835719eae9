"""Who is better at a budget: a loop over trainings, with rivals, tables and pictures."""
