"""Mutated frames against the decoder; the same script under MicroPython and CPython.

    micropython tests/device/fuzz_framing.py [FRAMES [SEED]]

Frames go down the line back to back, some with bytes dropped, inserted, flipped, or cut off. A frame that comes out
must be one that went in, in the order of going in; a frame left alone behind another one left alone must come out.
"""

import sys

# CPython: the folder of the package itself, since the host's package of the same name has other files.
sys.path.insert(0, __file__.rsplit("/", 1)[0] + "/../../device/ditmos")
from framing import RESULT, Decoder, encode


def random(state):
    """xorshift32: the same numbers everywhere."""
    x = state[0]
    x ^= (x << 13) & 0xFFFFFFFF
    x ^= x >> 17
    x ^= (x << 5) & 0xFFFFFFFF
    state[0] = x
    return x


def mutate(wire, state):
    wire = bytearray(wire)
    for _ in range(1 + random(state) % 3):
        at = random(state) % len(wire) if wire else 0
        what = random(state) % 4
        if not wire:
            break
        if what == 0:
            wire = wire[:at] + wire[at + 1 :]
        elif what == 1:
            wire = wire[:at] + bytes((random(state) & 255,)) + wire[at:]
        elif what == 2:
            wire[at] ^= 1 << random(state) % 8
        else:
            wire = wire[:at]
    return wire


def fuzz(count, seed=1):
    """Returns (frames mutated, frames accepted, frames noticed as bad, false accepts, good ones missed)."""
    state = [seed * 2654435761 & 0xFFFFFFFF or 1]
    decoder = Decoder()
    mutated = accepted = false = missed = number = 0
    before = True
    waiting = []  # what went in lately and did not come out
    while mutated < count:
        size = random(state) % 40
        payload = bytes(random(state) >> 3 & (7 if random(state) & 1 else 255) for _ in range(size))
        original = bytes((RESULT, number & 255, 7)) + payload
        number += 1
        waiting = waiting[-7:]
        waiting.append(original)
        wire = encode(RESULT, original[1], 7, payload)
        whole = random(state) % 4 == 0
        if not whole:
            wire = mutate(wire, state)
            mutated += 1
        got, start = 0, 0
        while start < len(wire):
            start = decoder.feed(wire, start, len(wire))
            if decoder.size:
                got += 1
                accepted += 1
                # Not always this one: a frame that lost only its closing delimiter ends where a later one starts.
                frame = bytes(decoder.frame[: decoder.size - 4])
                if frame in waiting:
                    waiting = waiting[waiting.index(frame) + 1 :]
                else:
                    false += 1
        if whole and before and (got != 1 or original in waiting):
            missed += 1
        before = whole
    return mutated, accepted, decoder.bad, false, missed


if __name__ == "__main__":
    numbers = [int(value) for value in sys.argv[1:]] or [20000]
    mutated, accepted, bad, false, missed = fuzz(*numbers)
    print(mutated, "mutated,", accepted, "accepted,", bad, "bad,", false, "false,", missed, "missed")
    sys.exit(1 if false or missed else 0)
