"""From the answers to overlapping windows to events: what has been said or done, once. The same file runs on host and
board, and like a policy it can be replaced while the board runs.

Everything here is a function `hear(scores) -> class or None`, made with settings and called once a window. Scores are
the probabilities of the classes as integers, 0 to 255; `soft(model.logit_scale)` makes them of logits:

    watched, hear = Watched(model), events(on=0.9, silent=(10,))
    policy(watched, window)
    label = hear(watched.scores())

Settings are shares from 0 to 1, and numbers of windows. Inside there are integers only, so that host and board agree.
"""

from array import array

from .routing import VOTES

SHIPPED = ("events", "steady", "majority", "known")


def soft(scale):
    """A function from int8 logits, `scale` real units a step, to scores. They are valid until the next call."""
    table = decay(scale)
    weights = None
    scores = None

    def of(logits):
        nonlocal weights, scores
        n = len(logits)
        if scores is None or len(scores) != n:
            weights, scores = array("H", bytes(2 * n)), bytearray(n)
        top = max(logits)
        total = 0
        for i in range(n):
            weight = table[top - logits[i]]
            weights[i] = weight
            total += weight
        for i in range(n):
            scores[i] = (255 * weights[i] + total // 2) // total
        return scores

    return of


class Watched:
    """A model for a policy, which remembers what the policy was told about the window: whoever answers, the scores are
    theirs. Where several classifiers were asked, they are those of their mean logits, rounded down.
    """

    def __init__(self, model):
        self.model = model
        self.runs = 0
        self._own = ()
        self._votes = None
        self._shares = bytearray(model.classes)
        self._sums = array("h", bytes(2 * model.classes))
        self._mean = array("h", bytes(2 * model.classes))
        self._of_selector = soft(model.selector_scale)
        self._of_classifiers = soft(model.logit_scale)

    def __getattr__(self, name):
        return getattr(self.model, name)

    def votes(self, window):
        self.runs = 0
        self._votes = self.model.votes(window)
        return self._votes

    def select(self, window):
        self.runs = 0
        self._votes = None
        logits = self.model.select(window)
        self._own = logits[self.model.routes :]
        return logits

    def classify(self, k):
        logits = self.model.classify(k)
        sums, more = self._sums, self.runs > 0
        for i in range(len(sums)):
            sums[i] = sums[i] + logits[i] if more else logits[i]
        self.runs += 1
        return logits

    def scores(self):
        """Of the window that has just been decided, valid until the next call; None where nobody was asked. Where the
        selector answers by itself, before the next `select`.
        """
        if self._votes is not None:
            whole = VOTES * self.model.trees
            for i in range(len(self._shares)):
                self._shares[i] = (255 * self._votes[i] + whole // 2) // whole
            return self._shares
        if not self.runs:
            return self._of_selector(self._own) if len(self._own) else None
        if self.runs == 1:
            return self._of_classifiers(self._sums)
        for i in range(len(self._sums)):
            self._mean[i] = self._sums[i] // self.runs
        return self._of_classifiers(self._mean)


def decay(scale):
    """exp(-d * scale) for d from 0 to 255, 65535 is 1. In integers: no two libraries round exp alike."""
    one = 1 << 30
    step = int(scale * one)  # a power of 2 changes no digit of a float
    ratio, term, n = one, one, 0
    while term:
        n += 1
        term = term * step // one // n
        ratio += term if n % 2 == 0 else -term
    table = array("H", bytes(512))
    value = one
    for d in range(256):
        table[d] = (value * 65535) >> 30
        value = value * max(ratio, 0) >> 30
    return table


def threshold(share, windows):
    """The sum of scores over so many windows that a share of certainty comes to."""
    return (int(share * 1000 + 0.5) * 255 * windows + 500) // 1000


def moving_sums(windows):
    """A function that takes the scores of a window and gives the sums over the last `windows` ones."""
    ring = []
    sums = []
    at = 0

    def add(scores):
        nonlocal ring, sums, at
        if len(sums) != len(scores):
            ring, sums = [bytearray(len(scores)) for _ in range(windows)], [0] * len(scores)
        oldest = ring[at]
        for i in range(len(scores)):
            sums[i] += scores[i] - oldest[i]
            oldest[i] = scores[i]
        at = (at + 1) % windows
        return sums

    return add


def largest(values):
    """Index of the largest, the first one of equals."""
    best = 0
    for i in range(1, len(values)):
        if values[i] > values[best]:
            best = i
    return best


def lead(scores):
    """How far the best class is ahead of the second."""
    best = second = -1
    for score in scores:
        if score > best:
            best, second = score, best
        elif score > second:
            second = score
    return best - max(second, 0)


def events(on=0.8, off=0.5, windows=4, quiet=10, silent=()):
    """A class is said when its mean over `windows` windows reaches `on`. It may be said again when that mean has fallen
    below `off`, and after an event nothing is said for `quiet` windows. Classes in `silent` ("unknown") never are.
    """
    up, down = threshold(on, windows), threshold(off, windows)
    add = moving_sums(windows)
    held = None
    wait = 0

    def hear(scores):
        nonlocal held, wait
        sums = add(scores)
        if held is not None and sums[held] < down:
            held = None
        if wait:
            wait -= 1
            return None
        best = largest(sums)
        if best == held or best in silent or sums[best] < up:
            return None
        held, wait = best, quiet
        return best

    return hear


def steady(on=0.6, off=0.4, windows=5):
    """For activities, of which there always is one: a class is said when it takes over. It does so when its mean over
    `windows` windows reaches `on` and that of the one before has fallen below `off`.
    """
    up, down = threshold(on, windows), threshold(off, windows)
    add = moving_sums(windows)
    state = None

    def hear(scores):
        nonlocal state
        sums = add(scores)
        best = largest(sums)
        if best == state or sums[best] < up or (state is not None and sums[state] >= down):
            return None
        state = best
        return best

    return hear


def majority(windows=5, least=3, silent=()):
    """A class is said when it has been the best in `least` of the last `windows` windows, and again when it has been
    less than that in between. Needs no scores that mean anything: logits will do.
    """
    ring = []
    at = 0
    held = None

    def hear(scores):
        nonlocal at, held
        label = largest(scores)
        if len(ring) < windows:
            ring.append(label)
        else:
            ring[at] = label
        at = (at + 1) % windows
        if held is not None and ring.count(held) < least:
            held = None
        if label == held or label in silent or ring.count(label) < least:
            return None
        held = label
        return label

    return hear


def known(hear, margin):
    """`hear`, to which windows whose best class leads by less than `margin` steps of a score are silence: what the
    model has never seen. `margin_for` chooses the margin, on validation data.
    """
    nothing = b""

    def hear_known(scores):
        nonlocal nothing
        if lead(scores) >= margin:
            return hear(scores)
        if len(nothing) != len(scores):
            nothing = bytes(len(scores))
        return hear(nothing)

    return hear_known


def margin_for(windows, kept=0.95):
    """The largest margin that leaves at least a share of `kept` of these windows' scores; 0 of none."""
    leads = sorted(lead(scores) for scores in windows)
    if not leads:
        return 0
    most = (len(leads) * (1000 - int(kept * 1000 + 0.5))) // 1000  # that may go
    return leads[min(most, len(leads) - 1)]
