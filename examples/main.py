"""A board that works alone: reads its sensor, prints a label whenever it changes. No host is needed.

    mpremote connect PORT fs cp device/sensors.py examples/main.py :
    mpremote connect PORT reset

MicroPython runs /flash/main.py at each start; Ctrl-C ends it. Another sensor: change one line below.
"""

import time
from array import array

import ditmos
from sensors import Simulated

SENSOR = Simulated()
HOP = 25  # rows from one answer to the next


def windows(sensor, length, hop):
    """Yields the last `length` rows, flattened, every `hop` rows, at the sensor's rate. The array is used again."""
    width = len(sensor.channels)
    window = array("h", bytes(2 * length * width))
    view = memoryview(window)  # moving rows inside of it takes no heap
    row = array("h", bytes(2 * width))
    fresh = hop * width  # values that leave the window when `hop` rows come in
    missing = length  # rows until the first answer
    due = time.ticks_ms()
    while True:
        view[:-fresh] = view[fresh:]
        for at in range(len(window) - fresh, len(window), width):
            time.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))
            due = time.ticks_add(due, 1000 // sensor.rate)
            sensor.read(row)
            view[at : at + width] = row
        missing -= hop
        if missing <= 0:
            yield window


def main():
    engine = ditmos.load()
    model = engine.model
    scale = model.inputs[0][4]
    if abs(SENSOR.scale - scale) > 1e-5 * scale:
        print("raw samples are of {:g}, the model was made for {:g}".format(SENSOR.scale, scale))
        return
    last = None
    for window in windows(SENSOR, model.window, HOP):
        name, classifier = engine(window)
        if name != last:
            print(name, "from classifier", classifier)
            last = name


main()
