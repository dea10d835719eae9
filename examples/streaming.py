"""A board used from Python: windows one by one, then a stream.

    python examples/streaming.py PORT mine.npz

PORT is a serial device, or what `ditmos sim` prints. A model must be on the board (`ditmos deploy`).
"""

import sys
from pathlib import Path

import ditmos
from ditmos.datasets import load

POLICY = Path(__file__).with_name("policy.py")


def main(port: str, file: str) -> None:
    data = load(file)
    windows = data.x[:5]  # raw int16; floats would be taken for real units
    with ditmos.Board(port) as board:
        print("windows, with the policy of policy.py")
        for result in board.classify(windows, policy=str(POLICY), logits=True):
            name = result.name or "not sure"
            print(f"{result.number:4}  {name:24}  classifier {result.classifier}  {result.microseconds} us")
        print("a stream: an answer every half window")
        for result in board.stream(windows.reshape(-1, len(data.channels)), hop=data.window // 2):
            print(f"{result.number:4}  {result.name:24}  {result.latency * 1000:.0f} ms after its last row")


if __name__ == "__main__":
    main(*sys.argv[1:])
