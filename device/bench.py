"""Ticks of each part of an inference: `mpremote run device/bench.py`, or `micropython device/bench.py`.

Runs the model that `ditmos.load()` finds on windows.npy, or on a made-up window where there is none. Each part is
warmed up, then repeated; the median is printed, with the least and the most. Options, in sys.argv:

    --repeat N   repetitions (default 50)
    --json       one JSON object instead of a table
    --profile    on the emulated board, model in ROMFS: have it count the bytes that a row of the front end and each
                 part of a decision fetch, read and write in each memory

Ticks are those of `time.ticks_cpu()`: core cycles on the real board. Emulators have no caches and no pipeline: there
they are instructions, and this script says so. Between two runs on a real board they differ by what interrupts take.
"""

import gc
import json
import sys
from array import array

import ditmos
from ditmos.routing import FOREST
from ditmos.script import Stopwatch, option

WARM_UP = 5
try:
    from machine import mem32
except ImportError:  # on a PC
    mem32 = None

WEIGHT = 4  # of a forest's votes in an average, which takes as long with any
EMULATED = b"DiTMoS-F767 "  # unique id of the emulated NUCLEO-F767ZI
# Instrumentation trace: words written here tell the emulated board what to count.
STIMULUS = 0xE0000000
COUNT_OFF, COUNT_EXACTLY, PROFILE_START, PROFILE_STOP = 0, 1, 2, 3


def machine_name():
    return getattr(sys.implementation, "_machine", sys.platform)


def is_emulated():
    """Whether this is the image of the real board in the CPU emulator."""
    try:
        import machine

        return machine.unique_id() == EMULATED
    except (ImportError, AttributeError):
        return False


def unit(emulated):
    if emulated:
        return "instructions, not cycles"
    name = machine_name()
    if "STM32F767" in name and "SIM" not in name:
        return "cycles"
    if "SIM" in name:
        return "instructions, not cycles, under --icount; else ticks of 40 ns of the host's time"
    return "ticks of the host, neither cycles nor instructions"


def tell(emulated, word):
    """A word to the emulator; nothing on any other machine. What this takes is counted, so nothing is imported here."""
    if emulated:
        mem32[STIMULUS] = word


def first_window(engine):
    try:
        return engine.quantize(ditmos.windows()[0])
    except OSError:  # no recording: how long it takes does not depend on what is in the window
        model = engine.model
        if model.trees:
            return engine.quantize(first_samples(engine))
        return array("b", [(37 * i) % 251 - 125 for i in range(model.window * model.channels)])


def first_samples(engine):
    """Of a model whose windows are fed."""
    try:
        return ditmos.windows()[0]
    except OSError:
        return array("h", [(37 * i) % 251 - 125 for i in range(engine.raw)])


def reads_features(model):
    """Whether a network reads features of the rows that are fed, as that of a linear model."""
    return not model.trees and model.kept_rows > model.window


def of_times(times):
    """(median, least, most)."""
    times = sorted(times)
    return times[len(times) // 2], times[0], times[-1]


def statistics(watch, repeat, work, *arguments, before=None):
    """(median, least, most) ticks of work(*arguments); before each, before() makes what it reads."""
    times = []
    for i in range(WARM_UP + repeat):
        if i == WARM_UP:
            gc.collect()
        if before:
            before()
        times.append(watch.measure(work, *arguments))
    return of_times(times[WARM_UP:])


def slices(model, window, k, watch, repeat):
    """Rows of slices, which run in turn: one may write over what it or another reads. Those for which that is gone
    after a select are left out."""
    times = [[] for _ in model.slices]
    for i in range(WARM_UP + repeat):
        if i == WARM_UP:
            gc.collect()
        model.select(window)
        for j in range(len(times)):
            try:
                times[j].append(watch.measure(model.step, j, k))
            except RuntimeError:
                pass
    return [("slice " + name,) + of_times(of[WARM_UP:]) for name, of in zip(model.slices, times) if of]


def measure(engine, window, repeat):
    """Rows (part, median, least, most)."""
    model = engine.model
    watch = Stopwatch()
    who = engine.decide(window)[1]
    k = who if who < model.classifiers else 0
    rows = []
    if reads_features(model):
        model.feed(first_samples(engine))
        rows.append(("features",) + statistics(watch, repeat, model.summary))
    if model.trees:
        rows.append(("votes",) + statistics(watch, repeat, model.votes, window))
    if model.specialists:
        rows.append(("specialist",) + statistics(watch, repeat, model.specialist))
    if model.classifiers:
        rows.append(("select",) + statistics(watch, repeat, model.select, window))
        rows.append(("classify",) + statistics(watch, repeat, model.classify, k, before=lambda: model.select(window)))
        rows += slices(model, window, k, watch, repeat)
    if model.trees and model.classifiers:
        model.select(window)
        rows.append(("both",) + statistics(watch, repeat, model.both, model.classify(k), WEIGHT))
    rows.append(("policy",) + statistics(watch, repeat, engine.policy, model, window))
    behind = () if who == FOREST else ("specialist", "select", "classify", "both")
    asked = [row[1] for row in rows if row[0] == "votes" or row[0] in behind]
    rows.append(("Python", rows[-1][1] - sum(asked), None, None))
    if model.raw_window:
        rows.insert(0, ("front end, a row",) + statistics(watch, repeat, model.feed, one_row(model)))
    return rows


def one_row(model):
    """Samples that make a row, where the frame before is full; the model is fed until it is."""
    model.feed(array("h", bytes(2 * model.raw_window * model.raw_channels)))
    return array("h", [(37 * i) % 2001 - 1000 for i in range(model.raw_hop * model.raw_channels)])


def profile(engine, window):
    """A row of the front end and each part of a decision between marks: weights and arena in DTCM, then weights in
    flash and arena in RAM."""
    import _ditmos
    import tcm

    held, size = [], 32768
    while size:  # all of DTCM, so that the second model finds none
        try:
            held.append(tcm.copy(bytes(size)))
        except MemoryError:
            size //= 2
    with open(ditmos.find("model.dtm"), "rb") as file:
        in_flash = _ditmos.Model(memoryview(file))
    for placement, model in (("dtcm", engine.model), ("flash", in_flash)):
        parts = []
        if model.trees or reads_features(model):
            model.feed(first_samples(engine))
        if reads_features(model):
            parts.append(("features", model.summary, ()))
        if model.trees:
            parts.append(("votes", model.votes, (window,)))
        if model.specialists:
            parts.append(("specialist", model.specialist, ()))
        if model.classifiers:
            parts += [("select", model.select, (window,)), ("classify", model.classify, (0,))]
        if model.trees and model.classifiers:
            parts.append(("both", model.both, (array("b", bytes(model.classes)), WEIGHT)))
        if model.raw_window:
            parts.append(("front end, a row", model.feed, (one_row(model),)))
        for part, work, arguments in parts:
            work(*arguments)
            if part == "classify":
                model.select(window)  # the one before may have written over what it reads
            tell(True, PROFILE_START)
            work(*arguments)
            tell(True, PROFILE_STOP)
            print("profiled", placement, part)


def main():
    emulated = is_emulated()
    engine = ditmos.load()
    window = first_window(engine)
    if option("--profile"):
        if not emulated:
            raise ValueError("--profile is for the emulated board")
        profile(engine, window)
        return
    repeat = int(option("--repeat", 50))
    tell(emulated, COUNT_EXACTLY)
    try:
        rows = measure(engine, window, repeat)
    finally:
        tell(emulated, COUNT_OFF)
    if option("--json"):
        parts = {row[0]: {"median": row[1], "least": row[2], "most": row[3]} for row in rows}
        result = {"machine": machine_name(), "unit": unit(emulated), "repeat": repeat, "parts": parts}
        result["arena"] = engine.model.arena_size
        print(json.dumps(result))
        return
    print("%s, %d repetitions; ticks are %s" % (machine_name(), repeat, unit(emulated)))
    print("%-36s %10s %10s %10s" % ("part", "median", "least", "most"))
    for name, median, least, most in rows:
        print("%-36s %10d %10s %10s" % (name, median, "" if least is None else least, "" if most is None else most))
    if unit(emulated) == "cycles":
        import machine

        frequency = machine.freq()
        frequency = frequency[0] if isinstance(frequency, tuple) else frequency
        print("policy: %.1f us at %d MHz" % (rows[-2][1] * 1e6 / frequency, frequency // 1000000))


try:
    main()
except (OSError, ValueError, MemoryError) as error:
    print("bench:", error)
