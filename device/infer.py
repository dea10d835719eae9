"""Run a model on recorded windows: `mpremote run device/infer.py`, or `micropython device/infer.py`.

Reads model.dtm, windows.npy and, if there, labels.npy from the current folder (`mpremote mount FOLDER run ...`), /flash
or /rom. Options, in sys.argv:

    --json       one JSON object a line instead of text: logits, who answered, ticks of each part
    --count N    the first N windows only

Ticks are those of `time.ticks_cpu()`: cycles on the STM32, instructions on the simulated board under `--icount`.
"""

import gc
import json
import time
from binascii import hexlify

import ditmos
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


def labels(count):
    """True classes, or None where there is no labels.npy."""
    try:
        found = ditmos.windows(ditmos.find("labels.npy"))
    except OSError:
        return None
    return [found[i][0] for i in range(count)]


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
            k = who if who < model.classifiers else best(logits[: model.routes])
            result["selector"] = hexlify(bytes(logits)).decode()
            result["logits"] = hexlify(bytes(model.classify(k))).decode()
        result["ticks"] = parts(engine, window, k, watch)
        print(json.dumps(result))


def run_text(engine, windows, count):
    model = engine.model
    truth = labels(count)
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
    count = min(len(windows), int(option("--count", len(windows))))
    if option("--json"):
        run_json(engine, windows, count)
    else:
        run_text(engine, windows, count)


try:
    main()
except (OSError, ValueError) as error:
    print("infer:", error)
