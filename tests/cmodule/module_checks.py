"""Checks of `_ditmos` that run under MicroPython, on the files that test_module.py writes.

`micropython module_checks.py FOLDER ATTRIBUTE...`, or `mpremote mount FOLDER run tests/cmodule/module_checks.py`.
"""

import gc
import struct
import sys
from array import array

import micropython

try:
    import ditmos_natmod as _ditmos  # the native module, where a test puts it under this name
except ImportError:
    import _ditmos

arguments = getattr(sys, "argv", [])[1:] or ["/remote"]
folder = arguments[0]


def read(name):
    with open(folder + "/" + name, "rb") as file:
        return file.read()


def raised(function, *args, **kwargs):
    """(type, message) of what the call raises."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("nothing raised")


def check_golden(name, vectors, buffer, arena=None):
    """Every logit, then the model."""
    model = _ditmos.Model(buffer, arena)
    at = 4
    for _ in range(struct.unpack("<I", vectors)[0]):
        window = vectors[at : at + model.window * model.channels]
        at += len(window)
        logits = model.select(window)
        assert logits == vectors[at : at + len(logits)]
        at += len(logits)
        for k in range(model.classifiers):
            assert model.classify(k) == vectors[at : at + model.classes], (name, k)
            at += model.classes
    assert at == len(vectors)
    return model


def check_buffers(name):
    """In place, copied, at an odd address, in a given arena, in part of one."""
    data, vectors = read(name + ".dtm"), memoryview(read(name + ".vec"))
    size = check_golden(name, vectors, data).arena_size
    writable = bytearray(data)
    model = _ditmos.Model(writable)
    writable[:] = bytes(len(data))  # the model has a copy
    model.select(bytes(model.window * model.channels))
    for offset in (1, 2, 3):
        check_golden(name, vectors, memoryview(bytes(offset) + data)[offset:])
    check_golden(name, vectors, bytearray(data), arena=bytearray(size))
    check_golden(name, vectors, data, arena=memoryview(bytearray(size + 8))[8:])


def check_errors(data, small):
    """``small``: another model file, copied where memory may be scarce."""
    model = _ditmos.Model(data)
    count = model.window * model.channels
    assert raised(model.classify, 0) == (RuntimeError, "classify before select")
    assert raised(model.step, len(model.slices) - 1)[0] is RuntimeError
    assert raised(model.features, 1)[0] is RuntimeError
    assert raised(model.slide, bytes(model.channels))[0] is RuntimeError
    model.select(bytes(count))
    for k in (-1, model.classifiers, 1 << 20):
        assert raised(model.classify, k)[0] is ValueError
        assert raised(model.step, len(model.slices) - 1, k)[0] is ValueError
    assert raised(model.classify, 1 << 70)[0] in (ValueError, OverflowError)
    assert raised(model.classify, None)[0] is TypeError
    assert raised(model.step, len(model.slices))[0] is ValueError
    assert raised(model.features, -1)[0] is ValueError
    assert raised(model.features, 3)[0] is ValueError  # nobody reads it later, so it is not kept
    assert raised(model.select, bytes(count - 1))[0] is ValueError
    assert raised(model.select, array("h", range(count)))[0] is TypeError
    assert raised(model.select, array("h", bytes(count // 2 * 2)))[0] is TypeError
    assert raised(model.select, 5)[0] is TypeError
    assert raised(setattr, model, "window", 1)[0] is AttributeError
    assert raised(_ditmos.Model)[0] is TypeError
    assert raised(_ditmos.Model, 5)[0] is TypeError
    assert raised(_ditmos.Model, data, arena=bytes(model.arena_size))[0] is TypeError
    assert raised(_ditmos.Model, data, arena=bytearray(model.arena_size - 1))[0] is ValueError
    assert raised(_ditmos.Model, data, arena=memoryview(bytearray(model.arena_size + 4))[2:])[0] is ValueError
    assert raised(_ditmos.Model, b"")[1] == "magic at offset 0: not a .dtm file"
    assert raised(_ditmos.Model, small[:-4])[1] == "length at offset 8: file is cut short"
    damaged = bytearray(small)
    damaged[-1] ^= 1
    assert raised(_ditmos.Model, damaged) == (ValueError, "crc at offset 12: file is damaged")


def check_one_classify(data, vectors):
    """The plan uses up the window: a second classify needs a new one, or the same again."""
    model = _ditmos.Model(data)
    count = model.window * model.channels
    window = vectors[4 : 4 + count]
    at = 4 + count + len(model.select(window))
    for k in range(model.classifiers):
        assert model.classify(k) == vectors[at : at + model.classes]
        at += model.classes
        assert raised(model.classify, k) == (RuntimeError, "the plan allows one classify a window")
        assert raised(model.features, 0)[0] in (RuntimeError, ValueError)
        assert raised(model.slide, bytes(model.channels))[0] is RuntimeError
        model.select(window)


def check_resized_arena(data):
    """The arena may have moved: refused, as long as it is."""
    arena = bytearray(_ditmos.Model(data).arena_size)
    model = _ditmos.Model(data, arena)
    window = bytes(model.window * model.channels)
    expected = bytes(model.select(window))
    arena[4:] = b""
    assert raised(model.select, window) == (RuntimeError, "arena has been resized")
    assert raised(model.classify, 0)[0] is RuntimeError
    assert len(expected) == model.classifiers


def check_views_outlive_the_model(data):
    model = _ditmos.Model(data, memoryview(bytearray(_ditmos.Model(data).arena_size + 64))[64:])
    view = model.select(bytes(model.window * model.channels))
    expected = bytes(view)
    del model
    gc.collect()
    rubbish = [bytearray(64) for _ in range(200)]
    assert bytes(view) == expected
    assert len(rubbish) == 200

    def write():
        view[0] = 1

    assert raised(write)[0] is TypeError


def check_callbacks(data):
    """Between slices, pending callbacks run; one that uses the model stops the call that it interrupted."""
    model = _ditmos.Model(data)
    window = bytes(model.window * model.channels)
    called = []

    def harmless(_):
        called.append(1)

    def harmful(_):
        model.select(window)

    def interrupted(callback):
        return micropython.schedule(callback, None), model.select(window)  # nothing in between runs callbacks

    interrupted(harmless)
    assert called
    expected = bytes(model.classify(0))
    assert raised(interrupted, harmful) == (RuntimeError, "model was used by a callback")
    model.select(window)
    assert bytes(model.classify(0)) == expected


def check_steps(data):
    """Slice by slice is the same as all at once; another classifier starts again."""
    model = _ditmos.Model(data)
    window = array("b", [i * 37 % 256 - 128 for i in range(model.window * model.channels)])
    selector = bytes(model.select(window))
    expected = bytes(model.classify(1))
    first = len([name for name in model.slices if name.startswith("selector")])
    for i in range(len(model.slices)):
        model.step(i, 1)
    assert bytes(model.select(window)) == selector
    model.step(first, 0)
    assert raised(model.step, first + 1, 1)[0] is RuntimeError
    for i in range(first, len(model.slices)):
        model.step(i, 1)
    assert bytes(model.classify(1)) == expected
    assert bytes(model.features(0)) == bytes(
        window[t * model.channels + c] & 255 for c in range(model.channels) for t in range(model.window)
    )


def check_features(names):
    """Whatever a plan keeps after select is the same; where classify uses it up, it is gone until the next select."""
    found, used_up = {}, 0
    for name in names:
        model = _ditmos.Model(read(name + ".dtm"))
        window = array("b", [i * 37 % 256 - 128 for i in range(model.window * model.channels)])
        for k in (None, 0, 1):
            logits = model.select(window) if k is None else model.classify(k)
            assert found.setdefault(k, bytes(logits)) == bytes(logits), name
        model.select(window)
        kept = []
        for level in range(3):
            try:
                features = bytes(model.features(level))
                kept.append(level)
            except ValueError:
                continue
            assert found.setdefault(("level", level), features) == features, (name, level)
        model.classify(0)
        for level in kept:
            try:
                model.features(level)
            except RuntimeError:
                used_up += 1
    assert used_up and len(found) == 6, (used_up, len(found))


def check_heap(data):
    """Nothing is allocated after construction."""
    model = _ditmos.Model(data)
    window = bytes(model.window * model.channels)
    samples = array("h", range(model.window * len(model.inputs)))
    quantized = bytearray(len(window))

    def use():
        model.quantize(samples, quantized)
        k = _ditmos.argmax(model.select(window))
        _ditmos.argmax(model.classify(k))
        model.step(0)
        model.features(1)
        for name in ("inputs", "margins", "slices", "class_names", "window", "logit_zero_point"):
            getattr(model, name)

    use()
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    use()
    after = gc.mem_alloc()
    gc.enable()
    assert after == before, after - before


def check_quantize():
    """Against what reference.quantize_input gave: values, then int8."""
    model = _ditmos.Model(read("reference.dtm"))
    for code, size in (("f", 4), ("h", 2)):
        stored = memoryview(read("quantize." + code))
        last = struct.unpack("<I", stored)[0]
        stored = stored[4:]
        width = len(model.inputs)  # of a row that comes in; of what is made of it: model.channels
        rows = len(stored) // (size * width + model.channels)
        values = array(code, bytes(stored[: size * width * rows]))
        count = rows * model.channels
        result = array("b", bytes(count))
        assert model.quantize(values, result) == last
        expected = array("b", bytes(stored[size * width * rows :]))
        for i in range(count):
            assert result[i] == expected[i], (code, i, result[i], expected[i])
        assert raised(model.quantize, values, bytearray(count + 1))[0] is ValueError
        assert raised(model.quantize, values[1:], bytearray(count))[0] is ValueError  # not whole rows
        assert raised(model.quantize, values, bytes(count))[0] is TypeError
        assert raised(model.quantize, values, array("h", bytes(2 * count)))[0] is TypeError
    assert raised(model.quantize, array("i", [1]), bytearray(1))[0] is TypeError


def check_argmax():
    assert _ditmos.argmax(array("b", [-5, 7, -128, 7])) == 1
    assert _ditmos.argmax(array("b", [-128])) == 0
    assert [_ditmos.argmax(nothing) for nothing in (b"", [], ())] == [0, 0, 0]
    assert _ditmos.argmax([1, 2.5, 2]) == 1
    assert raised(_ditmos.argmax, array("h", [1]))[0] is TypeError
    assert raised(_ditmos.argmax, 3)[0] is TypeError


def check_lead():
    for values, steps in (
        ([-128, 127], 255),
        ([5, 7, 7, -9], 0),
        ([3, 9, -4, 7], 2),
        ([9, 3], 6),
        ([-1], 255),
        ([], 255),
    ):
        assert _ditmos.lead(array("b", values)) == _ditmos.lead(values) == steps, values
    assert _ditmos.lead(array("H", [100, 915, 0, 600])) == 315
    for wrong in (array("h", [1]), 3, [1, "2"]):
        assert raised(_ditmos.lead, wrong)[0] is TypeError


def unhex(text):
    return bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2))


def check_feed(name, in_place):
    """A script of what the reference answers to samples in pieces (ditmos.bench.golden_feeds)."""
    data = read(name + ".dtm")
    if in_place:
        model = _ditmos.Model(data)
    else:  # at an odd address, in a given arena
        model = _ditmos.Model(memoryview(b" " + data)[1:], memoryview(bytearray(1 << 14))[8:])
    samples = memoryview(array("h", read(name + ".samples")))
    at = 0
    for line in read(name + ".script").decode().split("\n")[:-1]:
        call, *values = line.split(" ")
        if call in ("feed", "calibrate"):
            end = at + int(values[0]) * model.raw_channels
            piece = samples[at:end]
            at = end
            assert getattr(model, call)(piece) == int(values[1]), (name, line)
            if call == "feed":
                assert bytes(model.row()) == unhex(values[2]), (name, line)
        elif call == "reset":
            model.feed_reset()
        elif call == "early":
            assert raised(model.select_fed)[0] is RuntimeError, (name, line)
            if model.classifiers:
                assert raised(model.classify, 0)[0] is RuntimeError
            if model.experts:
                assert raised(model.votes, None)[0] is RuntimeError
        elif call == "summary":
            assert bytes(model.summary()) == unhex(values[0]), (name, line)
        elif call == "votes":
            votes = model.votes(None)
            assert bytes(votes) == unhex(values[0]), (name, line)
            assert _ditmos.argmax(votes) == max(range(model.classes), key=lambda i: (votes[i], -i)), (name, line)
        elif call == "both":
            assert model.both(model.classify(int(values[0])), int(values[1])) == int(values[2]), (name, line)
        elif call == "select":
            assert bytes(model.select_fed()) == unhex(values[0] if values else ""), (name, line)
        else:
            assert bytes(model.classify(int(values[0]))) == unhex(values[1]), (name, line)
    assert at == len(samples)
    model.feed_reset()
    assert raised(model.select_fed)[0] is RuntimeError
    assert raised(model.feed, bytes(2))[0] is TypeError
    if model.raw_channels > 1:
        assert raised(model.feed, array("h", [1]))[0] is ValueError
    return model


def check_forest(name):
    """What a forest refuses, and that it allocates nothing."""
    model = _ditmos.Model(read(name + ".dtm"))
    assert model.experts == ("forest", "specialists")[: 2 if model.specialists else 1] and model.trees >= 1
    samples = array("h", bytes(2 * model.raw_window * model.raw_channels))
    logits = array("b", bytes(model.classes))
    assert raised(model.votes, None)[0] is RuntimeError
    if model.classifiers:
        assert raised(model.both, logits, 4)[0] is RuntimeError  # before votes
    assert raised(model.specialist)[0] is (RuntimeError if model.specialists else ValueError)
    model.feed(samples)
    assert raised(model.votes, bytes(model.window * model.channels))[0] is ValueError
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    model.votes(None)
    model.summary()
    if model.classifiers:
        model.both(logits, 8)
    if model.specialists:
        model.specialist()
    after = gc.mem_alloc()
    gc.enable()
    assert after == before, after - before
    for weight in (-1, 9):
        assert raised(model.both, logits, weight)[0] is ValueError
    assert raised(model.both, bytes(model.classes + 1), 4)[0] is ValueError
    model.feed_reset()
    assert raised(model.votes, None)[0] is RuntimeError
    if model.classifiers:
        assert raised(model.both, logits, 4)[0] is RuntimeError
    if model.specialists:
        assert raised(model.specialist)[0] is RuntimeError


def check_feed_heap(name):
    """Nothing is allocated after construction."""
    model = _ditmos.Model(read(name + ".dtm"))
    samples = array("h", bytes(2 * model.raw_window * model.raw_channels))
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    model.feed(samples)
    model.select_fed()
    model.row()
    model.feed_reset()
    after = gc.mem_alloc()
    gc.enable()
    assert after == before, after - before


def check_interruptions(name):
    """A window from elsewhere: the rows start anew."""
    model = _ditmos.Model(read(name + ".dtm"))
    window = bytes(model.window * model.channels)
    samples = array("h", bytes(2 * model.raw_window * model.raw_channels))
    model.feed(samples)
    expected = bytes(model.select_fed())
    model.select(window)
    assert raised(model.select_fed)[0] is RuntimeError
    model.feed_reset()
    model.feed(samples)
    assert bytes(model.select_fed()) == expected


def check_no_front_end(data):
    model = _ditmos.Model(data)
    assert (model.raw_channels, model.raw_hop, model.raw_window, model.raw_units) == (0, 0, 0, "")
    assert (model.experts, model.trees, model.specialists) == ((), 0, 0)
    assert raised(model.specialist) == (ValueError, "votes name no classifier of this model")
    assert raised(model.votes, None) == (ValueError, "the model has no forest")
    assert raised(model.both, b"", 4) == (ValueError, "the model has no forest")
    for call in (model.select_fed, model.feed_reset, model.row, model.summary):
        assert raised(call) == (ValueError, "the model has no front end")
    for call in (model.feed, model.calibrate):
        assert raised(call, array("h", [1]))[0] is ValueError


def check_attributes(data):
    model = _ditmos.Model(data)
    print(model)
    for name in arguments[1:]:
        print(name, repr(getattr(model, name)))


reference = read("reference.dtm")
names = read("names").decode().split()[:: 1 if arguments[1:] else 5]  # some of them over a serial line
for name in names:
    check_buffers(name)
check_errors(reference, read("once.dtm"))
check_resized_arena(reference)
check_one_classify(read("once.dtm"), memoryview(read("once.vec")))
check_views_outlive_the_model(reference)
if _ditmos.__name__ == "_ditmos":  # a native module cannot let callbacks run: they come when the call is over
    check_callbacks(reference)
check_steps(reference)
check_features([name for name in names if name.startswith("plan")])
check_heap(reference)
check_quantize()
check_argmax()
check_lead()
check_no_front_end(reference)
feeds = read("feeds").decode().split()[:: 1 if arguments[1:] else 5]
for i, name in enumerate(feeds):
    check_feed(name, i % 2 == 0)
check_feed_heap(feeds[0])
for name in feeds[1::4]:
    check_forest(name)
check_interruptions(feeds[0])
check_attributes(reference)
