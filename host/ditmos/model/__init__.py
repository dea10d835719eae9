"""What a model is: shape, integers, plan, file, reference."""
