"""Serve a host that streams samples: `mpremote run device/stream.py`, then docs/protocol.md on the same line.

`ditmos stream` and `Board.stream` start the server by themselves; this is for programs that speak the protocol on
their own. Options, in sys.argv:

    --hop N          rows between two results; whole windows by default
    --type b|h|f     of the samples: int8, raw int16 (default), float32 in real units
    --logits         send the class logits with each result
"""

import ditmos
from ditmos.script import option
from ditmos.serve import serve

serve(
    ditmos.load_model(),
    hop=int(option("--hop", 0)),
    typecode=option("--type", "h"),
    logits=option("--logits", False),
)
