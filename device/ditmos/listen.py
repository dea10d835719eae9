"""A sensor's raw samples to answers, for as long as it gives any: sample, feed, decide.

    for event in ditmos.listen(ditmos.load(), microphone, hop=4, events=events(on=0.9)):
        print(event)

The model has a front end (docs/frontends.md). The sensor has `readinto(block)`, which fills an array('h') of samples,
channel after channel, and waits for them; it returns how many values it gave where those are fewer, 0 at the end.
"""

from array import array

from .events import Watched


def listen(engine, sensor, hop=4, events=None):
    """Yields `(class name, classifier)` of each window; the name is None where the policy abstains. Windows move on by
    `hop` rows. With `events` (`ditmos.events`, made with settings) the name of each class that it says, instead.

    Raises ValueError where the model has no front end, and whatever the sensor raises.
    """
    model = engine.model
    if not model.raw_window:
        raise ValueError("the model has no front end: listen feeds it raw samples")
    block = array("h", bytes(2 * model.raw_hop * model.raw_channels))
    view = memoryview(block)
    watched = Watched(model)
    names = model.class_names
    model.feed_reset()
    missing = model.window  # rows until the next answer
    while True:
        count = sensor.readinto(block)
        if count == 0:
            return
        missing -= model.feed(block if count is None else view[:count])
        if missing > 0:
            continue
        missing += hop
        label, k = engine.policy(watched, None)
        if events is None:
            yield None if label is None else names[label], k
        elif label is not None:
            scores = watched.scores()
            said = None if scores is None else events(scores)
            if said is not None:
                yield names[said]
