"""A routing policy of your own: top 1, but no answer where the selector is unsure.

    ditmos route top1 examples/policy.py --model model.dtm --data mine.npz
    ditmos stream --port PORT --source mine.npz --policy examples/policy.py

The same file runs on the host and on the board. Another margin: `examples/policy.py:sure(0.5)`.
"""

from ditmos import routing


def sure(margin):
    """A policy that abstains where the selector prefers its first classifier by less than `margin`."""

    def policy(model, window):
        logits = model.select(window)
        first, second = routing.ranked(logits)[:2]
        if (logits[first] - logits[second]) * model.selector_scale < margin:
            return None, routing.NOBODY
        return routing.best(model.classify(first)), first

    return policy


policy = sure(0.2)
