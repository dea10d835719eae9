"""Run a model on recorded windows: `mpremote run device/infer.py`, or `micropython device/infer.py`.

Reads model.dtm, windows.npy and, if there, labels.npy and windows.json from the current folder (`mpremote mount FOLDER
run ...`), /flash or /rom. windows.json says what the windows are: the model must have been made for such. Options, in
sys.argv:

    --json       one JSON object a line instead of text: logits, who answered, ticks of each part
    --count N    the first N windows only

Ticks are those of `time.ticks_cpu()`: cycles on the STM32, instructions on the simulated board under `--icount`.
"""

import gc
import json
import time
from binascii import hexlify

import ditmos
from ditmos.capture import raw_inputs
from ditmos.routing import best, name_of
from ditmos.script import Stopwatch, option


def parts(engine, window, k, watch):
    """Ticks of select, of classify(k), 0 without a network, and of the whole policy on one window."""
    model = engine.model
    select = classify = 0
    if model.classifiers:
        select = watch.measure(model.select, window)
        classify = watch.measure(model.classify, k)
    return select, classify, watch.measure(engine.policy, model, window)


def about():
    """What windows.json says of the windows, nothing where it is not there: class_names, fs, and of each channel its
    name, unit, and real units of a step."""
    try:
        path = ditmos.find("windows.json")
    except OSError:
        return {}
    with open(path) as file:
        return json.load(file)


def compare(model, said, raw):
    """ValueError where the windows are not what the model was made for. raw: they are integers, which have a scale."""

    def near(one, other, part):
        return abs(one - other) <= part * abs(other)

    fed = raw and model.raw_window and len(said.get("channels", ())) == model.raw_channels
    rate = model.raw_rate if fed else model.rate
    if said.get("fs") and rate and not near(said["fs"], rate, 0.02):
        raise ValueError("windows.json: fs is %g Hz, the model was made for %g" % (said["fs"], rate))
    made_for = raw_inputs(model) if fed else model.inputs
    channels = said.get("channels", ())
    if channels and len(channels) != len(made_for):
        raise ValueError("windows.json: %d channels, the model takes %d" % (len(channels), len(made_for)))
    for (name, units, scale), wanted in zip(channels, made_for):
        if name and wanted[0] and name != wanted[0]:
            raise ValueError("windows.json: channel %s stands where the model has %s" % (name, wanted[0]))
        if units and wanted[1] and units != wanted[1]:
            raise ValueError("windows.json: channel %s is in %s, the model was made for %s" % (name, units, wanted[1]))
        if raw and scale and not near(scale, wanted[4], 1e-4):
            raise ValueError("windows.json: scale of channel %s is %g, the model has %g" % (name, scale, wanted[4]))


def labels(model, said, count):
    """The model's numbers of the true classes, or None where there is no labels.npy. The numbers in it are those of the
    classes that windows.json names, without it the model's. ValueError for a class that the model lacks."""
    try:
        found = ditmos.windows(ditmos.find("labels.npy"))
    except OSError:
        return None
    names = list(model.class_names)
    own = said.get("class_names", names)
    for name in own:
        if name not in names:
            raise ValueError("windows.json: class %s is none of the model's" % name)
    if len(found) < count:
        raise ValueError("labels.npy: %d labels, windows.npy has %d windows" % (len(found), count))
    numbers = [found[i][0] for i in range(count)]
    for number in numbers:
        if not 0 <= number < len(own):
            raise ValueError("labels.npy: %d, expected the number of one of %d classes" % (number, len(own)))
    return [names.index(own[number]) for number in numbers]


def run_json(engine, windows, count):
    """`k`: who answered, as routing.py numbers them; the logits are that classifier's, else those of the chosen one.
    `votes`: of the forest, if there is one."""
    model = engine.model
    watch = Stopwatch()
    print(json.dumps({"windows": count, "classes": model.classes, "arena": model.arena_size, "policy": model.policy}))
    for i in range(count):
        if i % 16 == 0:
            gc.collect()  # so that none falls into a measured part
        window = engine.quantize(windows[i])
        label, who = engine.decide(window)
        result = {"i": i, "label": label, "k": who, "who": name_of(who)}
        k = 0
        if model.trees:
            result["votes"] = list(model.votes(window))
        if model.classifiers:
            logits = model.select(window)
            k = model.specialist() if model.specialists else best(logits[: model.routes])
            k = who if who < model.classifiers else k
            result["selector"] = hexlify(bytes(logits)).decode()
            result["logits"] = hexlify(bytes(model.classify(k))).decode()
        result["ticks"] = parts(engine, window, k, watch)
        print(json.dumps(result))


def run_text(engine, windows, said, count):
    model = engine.model
    truth = labels(model, said, count)
    used = {}
    right = total_us = 0
    for i in range(count):
        samples = windows[i]
        began = time.ticks_us()
        label, who = engine(samples)
        us = time.ticks_diff(time.ticks_us(), began)
        total_us += us
        name = name_of(who)
        used[name] = used.get(name, 0) + 1
        right += truth is not None and label is not None and model.class_names[truth[i]] == label
        print("%5d  %-24s %-14s %d us" % (i, label or "-", name, us))
    answers = ", ".join("%s %d" % (name, used[name]) for name in sorted(used))
    print("%d windows, %d us each; answered by %s" % (count, total_us // count, answers))
    if truth:
        print("right: %d of %d, %.1f %%" % (right, count, 100 * right / count))


def main():
    engine = ditmos.load()
    windows = ditmos.windows()
    said = about()
    compare(engine.model, said, windows.typecode == "h")
    count = min(len(windows), int(option("--count", len(windows))))
    if count < 1:
        raise ValueError("no window: --count is %s, windows.npy has %d" % (option("--count", "all"), len(windows)))
    if option("--json"):
        run_json(engine, windows, count)
    else:
        run_text(engine, windows, said, count)


try:
    main()
except (OSError, ValueError, LookupError, TypeError, MemoryError) as error:
    print("infer:", error)
