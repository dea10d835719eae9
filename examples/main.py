"""A board that works alone: reads its sensor, prints a label whenever it changes. No host is needed.

    mpremote connect PORT fs cp device/sensors.py examples/main.py :
    mpremote connect PORT reset

MicroPython runs /flash/main.py at each start; Ctrl-C ends it. Another sensor: change one line below. What
`ditmos deploy --run` puts there also watches over itself (docs/howto/alone.md).
"""

import ditmos
from sensors import Simulated

HOP = 25  # rows from one answer to the next


def main():
    last = None
    try:
        for name, classifier in ditmos.listen(ditmos.load(), Simulated(), hop=HOP):
            if name != last:
                print(name, "from classifier", classifier)
                last = name
    except ValueError as error:  # the sensor is not for the model
        print(error)


main()
