"""Listen to a sensor on the board: `mpremote mount device run device/listen.py`. Ctrl-C ends it. Options, in sys.argv:

    --sensor EXPR  a driver of sensors.py or motion.py, such as "WavFile('/rom/sound.wav')"; Simulated by default
    --hop N        rows of the model from one window to the next; 4 of a model with a front end, else half a window
    --events EXPR  of ditmos.events, such as "events(on=0.9)"; by default each change of class is told
    --gate N       loudness below which nothing is decided
    --calibrate N  seconds at the start that put the front end on the wearer's scale
    --led NAME     LED or pin that shows an event

What `ditmos deploy --run` puts on the board does the same after each reset.
"""

from ditmos import alone, events
from ditmos.script import option


def names():
    """What sensors.py and motion.py define, wherever they are found."""
    space = {}
    for module in ("sensors", "motion"):
        try:
            space.update(__import__(module).__dict__)
        except ImportError:
            pass
    return space


def main():
    sensor = option("--sensor", "Simulated")
    made = sensor if "(" in sensor else sensor + "()"
    space = names()
    said = option("--events")
    alone.run(
        lambda: eval(made, space),
        hop=int(option("--hop", 0)),
        events=(lambda: eval(said, events.__dict__)) if said else None,
        gate=int(option("--gate", 0)),
        calibrate=float(option("--calibrate", 0)),
        led=option("--led"),
        restart=0,
    )


main()
