"""Routing policies: which classifier answers, and when to ask a second one. The same file runs on host and board.

A policy is called as `policy(model, window)` and returns `(label, k)`: the class index and the classifier it came
from, `k` None when it abstains. It uses nothing but `model.select(window)` and `model.classify(k)`, int8 logits that
are valid until the next call of the same kind. `top1` is a policy; the others are made with settings: `fallback(0.5)`.
Margins are differences of real logits, `(a - b) * scale`: a margin of 1 is a likelihood ratio of e.
"""

try:
    from _ditmos import argmax as best  # the same in C: the loop is most of what a policy costs
except ImportError:  # on the host

    def best(logits):
        """Index of the largest, the first one of equals; 0 of nothing (a network without a selector)."""
        top = 0
        for i in range(1, len(logits)):
            if logits[i] > logits[top]:
                top = i
        return top


def ranked(logits):
    """Indices from the largest to the smallest, equals in rising order (MicroPython's sort is not stable)."""
    return sorted(range(len(logits)), key=lambda i: i - 256 * logits[i])


def lead(logits):
    """Steps from the second largest to the largest; 255 where there is no second."""
    top = best(logits)
    rest = [x for i, x in enumerate(logits) if i != top]
    return logits[top] - max(rest) if rest else 255


def top1(model, window):
    """The classifier that the selector likes best."""
    k = best(model.select(window))
    return best(model.classify(k)), k


def fallback(margin=0.5):
    """Average the two best classifiers when the selector prefers the first by less than `margin`."""

    def policy(model, window):
        logits = model.select(window)
        if len(logits) < 2:
            return best(model.classify(0)), 0
        first, second = ranked(logits)[:2]
        unsure = (logits[first] - logits[second]) * model.selector_scale < margin
        scores = model.classify(first)
        if unsure:
            scores = [a + b for a, b in zip(list(scores), model.classify(second))]
        return best(scores), first

    return policy


def early(margin=2.0, second=0.0):
    """Let the selector answer, `k` None, where its best class leads by `margin`: a selector with K + classes outputs
    (the classes behind the routes), or with the classes alone and one classifier. Where the chosen classifier's best
    class leads by less than `second`, the next classifier is asked too, and their logits are added.
    """

    def policy(model, window):
        logits = model.select(window)
        routes = model.classifiers if model.classifiers > 1 else 0
        own = logits[routes:]
        if len(own) and lead(own) * model.selector_scale >= margin:
            return best(own), None
        liked = logits[:routes]
        k = best(liked)
        scores = model.classify(k)
        if routes and lead(scores) * model.logit_scale < second:
            scores = list(scores)
            scores = [a + b for a, b in zip(scores, model.classify(ranked(liked)[1]))]
        return best(scores), k

    return policy


def sticky(margin=1.0):
    """Stay with the classifier of the window before until another one leads it by more than `margin`."""
    k = None

    def policy(model, window):
        nonlocal k
        logits = model.select(window)
        leader = best(logits)
        if k is None or (len(logits) and (logits[leader] - logits[k]) * model.selector_scale > margin):
            k = leader
        return best(model.classify(k)), k

    return policy


def vote(count=3):
    """Let the `count` best classifiers vote; a tie goes to the label that the better-liked ones named first."""

    def policy(model, window):
        order = ranked(model.select(window))[:count] or [0]
        labels = [best(model.classify(k)) for k in order]
        label = max(labels, key=labels.count)
        return label, order[labels.index(label)]

    return policy


def budgeted(runs=1, rate=10, margin=0.5):
    """`fallback` with at most `runs` extra classifier runs a second, at `rate` windows a second.

    Unused runs add up to one second's worth. Time is counted in windows: the same stream gives the same decisions.
    """
    second_look = fallback(margin)
    saved = 0

    def policy(model, window):
        nonlocal saved
        saved = min(saved + runs, max(runs, 1) * rate)
        if saved < rate:
            return top1(model, window)
        counted = Counter(model)
        answer = second_look(counted, window)
        saved -= rate * (counted.runs - 1)
        return answer

    return policy


class Counter:
    """A model that counts its classifier runs since the last window and keeps the logits of the last one."""

    def __init__(self, model):
        self.model = model
        self.selector_scale = model.selector_scale
        self.logit_scale = model.logit_scale
        self.classifiers = model.classifiers
        self.runs = 0
        self.logits = None

    @property
    def classes(self):
        return self.model.classes

    def select(self, window):
        self.runs = 0
        return self.model.select(window)

    def classify(self, k):
        self.runs += 1
        self.logits = self.model.classify(k)
        return self.logits
