"""Numbers as pictures in a terminal, for the REPL."""


def bars(logits, names=None, scale=1.0, width=40):
    """Print int8 logits as horizontal bars, the largest marked; `scale` turns them into real logits.

    >>> bars(model.select(window), scale=model.selector_scale)
    """
    low, high = min(logits), max(logits)
    for i, value in enumerate(logits):
        name = names[i] if names else str(i)
        length = (value - low) * width // (high - low or 1)
        print("%12s %7.2f %s%s" % (name[:12], value * scale, "#" * length, " <" if value == high else ""))
