"""Fixed-size records of a `.dtm`, little-endian without padding: docs/format.md."""

from struct import Struct

MAGIC = b"DTMS"
VERSION = 2

HEADER = Struct("<4sHHII")  # magic, version, sections, length, crc
SECTION = Struct("<4sIII")  # tag, offset, length, flags
NETWORK = Struct("<HHHHBBBBIffhhI")
INPUTS = Struct("<fHH")  # rate, channels of a row, reserved
INPUT = Struct("<ffiIBBH")  # scale, sample_scale, zero_point, multiplier, shift, flags, reserved
ROUTING = Struct("<BBH")  # rule, margins, reserved
MARGIN = Struct("<i")
LAYER = Struct("<BBBBBBbBHHHHHBBII")
PLAN = Struct("<IBBBBBBBBI")  # arena_size, buffers, stages, slices, window, selector_logits, logits, flags, reserved
BUFFER = Struct("<IHHHBB")  # offset, stride, rows, channels, kind, flags
STAGE = Struct("<BBBBBBH")  # layer, in0, in1, out, carry, scratch, chunk
SLICE = Struct("<BBBB")  # first stage, stages, phase, reserved

CRC_START = HEADER.size
REQUIRED = 1  # section flag
USED = 1  # input flag
KEPT = 1  # buffer flag
ONCE = 1  # plan flag

NETWORK_FIELDS = (
    *("window", "channels", "classes", "selector_outputs", "classifiers", "selector layers", "classifier layers"),
    *("start", "aggregate", "selector_scale", "logit_scale", "selector_zero_point", "logit_zero_point"),
    "classifier_stride",
)
NETWORK_OFFSETS = (0, 2, 4, 6, 8, 9, 10, 11, 12, 16, 20, 24, 26, 28)
LAYER_FIELDS = (
    *(
        "kind",
        "relu",
        "kernel",
        "stride",
        "pool",
        "packing",
        "zero_point",
        "padding in front",
        "channels_in",
        "rows_in",
    ),
    *("channels_out", "rows_out", "channels of the first operand", "padding behind", "reserved", "weights offset"),
    "weights bytes",
)
LAYER_OFFSETS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 19, 20, 24)
