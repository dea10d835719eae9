"""Routing policies: who answers, and when a second opinion is asked for. The same file runs on host and board.

A policy is called as `policy(model, window)` and returns `(label, who)`: the class index, and who it came from: a
classifier, 0 to K - 1, or SELECTOR, ALL, FOREST, or NOBODY where it abstains (label None). It uses
`model.select(window)` and `model.classify(k)`, which give int8 logits that are valid until the next call of either,
and `classes`, `classifiers`, `routes`, `exits`, `selector_scale` and `logit_scale`. Of the selector's logits the
first `routes` stand for the classifiers; the `exits` behind them, if any, are class logits of its own. A model with a
forest (`experts`) also has `votes(window)`, 15 of each of its `trees`, and `both(logits, weight)`: the class that
those votes and a classifier's logits like best together. Where its votes name the classifier (`specialists`),
`specialist()` is the one that the last votes name.

`top1`, `average` and `forest` are policies; the others are made with settings: `fallback(8)`. Margins are differences
of int8 logits, whole steps, so that host and board decide alike: one step is `model.selector_scale` or
`model.logit_scale`.
"""

from .framing import ALL, FOREST, NOBODY, SELECTOR

try:
    from _ditmos import argmax as best  # the same in C: these are most of what a policy costs
    from _ditmos import chosen, lead
except ImportError:  # on the host

    def best(logits):
        """Index of the largest, the first one of equals; 0 of nothing (a network without a selector)."""
        top = 0
        for i in range(1, len(logits)):
            if logits[i] > logits[top]:
                top = i
        return top

    def lead(values):
        """By how much the largest leads the second largest; 255 where there is no second."""
        top = best(values)
        rest = [x for i, x in enumerate(values) if i != top]
        return values[top] - max(rest) if rest else 255

    def chosen(model, logits, policy="top1"):
        """The classifier that the model's rule chooses, `logits` being the selector's. Raises as `candidates`."""
        return best(candidates(model, logits, policy))


SHIPPED = ("top1", "average", "fallback", "early", "sticky", "vote", "budgeted", "forest", "first")
PLAIN = ("top1", "average", "forest")  # those without settings
NAMES = {NOBODY: "nobody", SELECTOR: "selector", ALL: "all classifiers", FOREST: "forest"}
NEVER = 256  # a margin that no two int8 logits have between them
VOTES = 15  # of a tree


def named(name, margins=()):
    """A policy of this file by its name, with its settings in the order of its arguments.

    Raises ValueError for another name, or settings that it does not take.
    """
    if name not in SHIPPED:
        known = ", ".join(SHIPPED)
        raise ValueError("policy %s is none of this firmware (%s): give it, ditmos.load(policy=f)" % (name, known))
    made = globals()[name]
    if name in PLAIN:
        if margins:
            raise ValueError("policy %s takes no margins, it has %s" % (name, list(margins)))
        return made
    try:
        return made(*margins)
    except TypeError:
        raise ValueError("policy %s does not take %d margins" % (name, len(margins)))


def verdict(model, answer):
    """What a policy returned, as `(label, who)`, NOBODY where the label is None; ValueError for what it may not be."""
    try:
        label, who = answer
        if label is None:
            return None, NOBODY
        known = 0 <= label < model.classes
    except (TypeError, ValueError):
        known = None
    if known is None:
        raise ValueError("policy gave %r, expected a class's index (or None) and who answered" % (answer,))
    if not known:
        raise ValueError("policy gave class %s, expected 0 to %d" % (label, model.classes - 1))
    if who is None or not (0 <= who < model.classifiers or who in NAMES) or who == NOBODY:
        last = model.classifiers - 1
        raise ValueError(
            "policy gave class %s by %s, expected classifier 0 to %d, SELECTOR, ALL or FOREST" % (label, who, last)
        )
    return label, who


def name_of(who):
    """`classifier 2`, `selector`, `all classifiers`, `forest`, `nobody`."""
    return NAMES[who] if who in NAMES else "classifier %d" % who


def ranked(logits):
    """Indices from the largest to the smallest, equals in rising order (MicroPython's sort is not stable)."""
    return sorted(range(len(logits)), key=lambda i: i - 256 * logits[i])


def candidates(model, logits, policy):
    """The routes among the selector's logits; of length 0 where there is one classifier, which needs no choice.

    Raises ValueError where there are several classifiers and nothing to choose by: `policy` cannot run on that model.
    """
    if model.routes:
        return logits[: model.routes] if model.exits else logits
    if model.classifiers > 1:
        raise ValueError("%s: nothing chooses among the model's classifiers; use average" % policy)
    return ()


def whole(margin):
    """`margin` as whole steps of int8 logits; ValueError for another number."""
    if margin != int(margin):
        raise ValueError("margin is %s, expected whole steps of int8 logits; one is model.selector_scale" % margin)
    return int(margin)


def added(scores, others):
    """Sums of two lists of logits, the first of which may be overwritten while the second is made."""
    return [a + b for a, b in zip(scores, others)]


def top1(model, window):
    """The classifier that the selector likes best."""
    k = chosen(model, model.select(window))
    return best(model.classify(k)), k


def average(model, window):
    """All classifiers, their logits added."""
    model.select(window)
    return ask_all(model)


def ask_all(model):
    """The answer of all classifiers together on the window that has been selected."""
    scores = list(model.classify(0))
    for k in range(1, model.classifiers):
        scores = added(scores, model.classify(k))
    return best(scores), ALL if model.classifiers > 1 else 0


def fallback(margin=8):
    """Average the two best classifiers when the selector prefers the first by less than `margin`."""
    margin = whole(margin)

    def policy(model, window):
        logits = candidates(model, model.select(window), "fallback")
        if len(logits) < 2:
            return best(model.classify(0)), 0
        first, second = ranked(logits)[:2]
        unsure = logits[first] - logits[second] < margin
        scores = model.classify(first)
        if unsure:
            scores = added(list(scores), model.classify(second))
        return best(scores), first

    return policy


def early(margin=32, second=0):
    """Let the selector answer where the best of its own class logits leads by `margin`. Where the chosen classifier's
    best class leads by less than `second`, the next classifier is asked too, and their logits are added. Without own
    logits (`exits`) only the latter; without routes, all classifiers are asked.
    """
    margin, second = whole(margin), whole(second)

    def policy(model, window):
        logits = model.select(window)
        routes = model.routes
        own = logits[routes:]
        if len(own) and lead(own) >= margin:
            return best(own), SELECTOR
        if len(own) and not routes and model.classifiers > 1:
            return ask_all(model)
        liked = candidates(model, logits, "early")
        k = best(liked)
        if not second or len(liked) < 2:
            return best(model.classify(k)), k
        other = ranked(liked)[1]
        scores = model.classify(k)
        if lead(scores) < second:
            scores = added(list(scores), model.classify(other))
        return best(scores), k

    return policy


def sticky(margin=16):
    """Stay with the classifier of the window before until another one leads it by more than `margin`."""
    margin = whole(margin)
    k = None

    def policy(model, window):
        nonlocal k
        logits = candidates(model, model.select(window), "sticky")
        leader = best(logits)
        if k is None or (len(logits) and logits[leader] - logits[k] > margin):
            k = leader
        return best(model.classify(k)), k

    return policy


def vote(count=3):
    """Let the `count` best classifiers vote; a tie goes to the label that the better-liked ones named first."""

    def policy(model, window):
        order = ranked(candidates(model, model.select(window), "vote"))[:count] or [0]
        labels = [best(model.classify(k)) for k in order]
        label = max(labels, key=labels.count)
        return label, order[labels.index(label)]

    return policy


def budgeted(runs=1, rate=10, margin=8):
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


def forest(model, window):
    """The forest alone."""
    return best(votes_of(model, window, "forest")), FOREST


def first(tau=9, weight=4, ahead=17):
    """The forest answers where its best class has `tau` sixteenths of all votes or more, or leads the next one by
    `ahead` sixteenths or more (17: neither can be). Else the chosen classifier is asked, and the class that both like
    best together answers, `weight` eighths of it being the forest's. Who is asked is the selector's choice, or the
    specialist that the votes name.
    """
    if not 0 <= weight <= 8:
        raise ValueError("weight is %s, expected 0 to 8 eighths" % weight)

    def policy(model, window):
        votes = votes_of(model, window, "first")
        top = best(votes)
        whole = VOTES * model.trees
        if 16 * votes[top] >= tau * whole or 16 * lead(votes) >= ahead * whole:
            return top, FOREST
        logits = model.select(window)
        k = model.specialist() if model.specialists else chosen(model, logits, "first")
        return model.both(model.classify(k), weight), k

    return policy


def votes_of(model, window, policy):
    """The forest's votes. Raises ValueError where the model has none: `policy` cannot run on it."""
    if not model.trees:
        raise ValueError("%s: the model has no forest" % policy)
    return model.votes(window)


class Counter:
    """A model that counts its runs since `begin`, or the last select, and keeps the logits of the last classifier."""

    def __init__(self, model):
        self.model = model
        self.selector_scale = model.selector_scale
        self.logit_scale = model.logit_scale
        self.classes = model.classes
        self.classifiers = model.classifiers
        self.routes = model.routes
        self.exits = model.exits
        self.trees = model.trees
        self.specialists = model.specialists
        self.logits = None
        self.begin()

    def begin(self):
        """A new window: nobody has been asked."""
        self.runs = 0
        self.selects = 0
        self.polls = 0

    def select(self, window):
        self.runs = 0
        self.selects += 1
        return self.model.select(window)

    def votes(self, window):
        self.polls += 1
        return self.model.votes(window)

    def specialist(self):
        return self.model.specialist()

    def both(self, logits, weight):
        return self.model.both(logits, weight)

    def classify(self, k):
        self.runs += 1
        self.logits = self.model.classify(k)
        return self.logits
