"""The codec and the link of device/ditmos/framing.py, on CPython."""

import random
from collections import deque

import pytest
from ditmos import framing
from ditmos.framing import BOARD, CREDIT, OVERHEAD, PAYLOAD, RESULT, SAMPLES, Decoder, Link, encode, stuff
from hypothesis import given
from hypothesis import strategies as st


@given(st.binary(max_size=PAYLOAD), st.integers(0, 255), st.integers(0, 255))
def test_frame_survives_and_holds_no_reserved_byte(payload, number, ack):
    wire = encode(SAMPLES, number, ack, payload)
    assert len(wire) <= len(payload) + OVERHEAD
    assert wire[0] == wire[-1] == 0
    assert 0 not in wire[1:-1] and not {1, 2, 3, 4} & set(wire)
    decoder = Decoder()
    assert decoder.feed(wire, 0, len(wire)) == len(wire)
    assert bytes(decoder.frame[3 : decoder.size - 4]) == payload
    assert tuple(decoder.frame[:3]) == (SAMPLES, number, ack)


@pytest.mark.parametrize("size", [0, 1, 49, 50, 51, 100, 101])
@pytest.mark.parametrize("end", [b"", b"\0", b"\1", b"\2", b"\3\3", b"\4a"])
def test_stuffing_at_the_limits_of_a_run(size, end):
    data = b"a" * size + end
    stuffed = stuff(data)
    assert min(stuffed) > 4
    assert len(stuffed) <= len(data) + 1 + len(data) // 50


def test_every_single_bit_and_every_lost_byte_is_noticed():
    payload = bytes(range(60))
    wire = encode(SAMPLES, 1, 2, payload)
    for at in range(1, len(wire) - 1):
        for damaged in [wire[:at] + bytes((wire[at] ^ 1 << bit,)) + wire[at + 1 :] for bit in range(8)] + [
            wire[:at] + wire[at + 1 :]
        ]:
            decoder = Decoder()
            start = 0
            while start < len(damaged):
                start = decoder.feed(damaged, start, len(damaged))
                assert decoder.size == 0
            assert decoder.bad
            assert decoder.feed(wire, 0, len(wire)) and decoder.size, "the next frame is not understood"


def test_oversized_frame_is_refused():
    wire = encode(SAMPLES, 0, 0, bytes(PAYLOAD + 1))
    decoder = Decoder()
    decoder.feed(wire, 0, len(wire))
    assert decoder.size == 0 and decoder.bad == 1


class Line:
    """Carries bytes to one Link in virtual milliseconds, with faults."""

    def __init__(self, rate, seed, limit=None):
        self.bytes = deque()
        self.random = random.Random(seed)
        self.rate = rate
        self.limit = limit  # of the receiver's buffer; what does not fit is lost
        self.most = 0
        self.held = 0

    def write(self, data):
        for c in data:
            fault = self.random.choice(("dropped", "inserted", "flipped", "cut", "delayed")) if self.hit() else None
            if fault == "inserted":
                self.bytes.append(self.random.randrange(256))
            elif fault == "flipped":
                c ^= 1 << self.random.randrange(8)
            elif fault == "delayed":
                self.held = 60
            elif fault:
                if fault == "cut":
                    return
                continue
            self.bytes.append(c)
        self.most = max(self.most, len(self.bytes))
        while self.limit and len(self.bytes) > self.limit:
            self.bytes.pop()

    def hit(self):
        return self.random.random() < self.rate

    def take(self, count):
        if self.held:
            self.held -= 1
            return b""
        return bytes(self.bytes.popleft() for _ in range(min(count, len(self.bytes))))


def talk(messages, rate, seed, limit=None):
    """Run `messages` both ways; returns what each side got, the links, the lines, the virtual time."""
    now = [0]
    lines = Line(rate, seed, limit), Line(rate, seed + 1)
    got = [], []
    ends = tuple(
        Link(lines[i].write, lambda: now[0], lambda kind, data, i=i: got[i].append((kind, bytes(data))), credit, side)
        for i, credit, side in ((0, CREDIT, 0), (1, 1024, BOARD))
    )
    todo = [deque(messages), deque(messages)]
    while len(got[0]) < len(messages) or len(got[1]) < len(messages):
        now[0] += 1
        assert now[0] < 400 * len(messages) + 10_000, "no progress"
        for i, end in enumerate(ends):
            data = lines[1 - i].take(12)
            end.receive(data, len(data))
            if todo[i] and end.queued() < 8:
                end.send(*todo[i].popleft())
            end.poll()
    return got, ends, lines, now[0]


def some(count, seed, longest=PAYLOAD):
    chance = random.Random(seed)
    return [(chance.choice((SAMPLES, RESULT)), chance.randbytes(chance.randrange(longest))) for _ in range(count)]


def test_link_on_a_clean_line_repeats_nothing_and_keeps_to_its_credit():
    messages = some(500, 1, 3 * PAYLOAD)
    got, ends, lines, _ = talk(messages, 0, 1)
    assert got[0] == messages and got[1] == messages
    assert all(end.resent == end.duplicates == end.missed == end.decoder.bad == 0 for end in ends)
    assert lines[0].most <= 259


@pytest.mark.parametrize("seed", range(4))
def test_link_on_a_bad_line_loses_doubles_and_reorders_nothing(seed):
    messages = some(500, seed)
    got, ends, _, _ = talk(messages, 1e-3, seed, limit=259)
    assert got[0] == messages and got[1] == messages
    assert ends[1].decoder.bad > 10


def test_link_on_a_very_bad_line_still_delivers():
    messages = some(100, 9, 20)
    got, *_ = talk(messages, 1e-2, 9, limit=259)
    assert got[0] == messages and got[1] == messages


def test_more_than_the_slots_hold():
    messages = some(40, 3, 20 * PAYLOAD)
    got, *_ = talk(messages, 0, 1)
    assert got[0] == messages and got[1] == messages


@pytest.mark.parametrize("what", ["damaged", "lost"])
def test_a_gap_is_told_and_filled_before_any_timer_ends(what):
    """The receiver says NAK, and the sender goes back at once: no time passes, nobody polls."""
    now, wires, got = [0], ([], []), []
    sender = Link(wires[0].append, lambda: now[0], lambda *_: None)
    receiver = Link(wires[1].append, lambda: now[0], lambda kind, data: got.append(bytes(data)), side=BOARD)
    texts = [b"one", b"two"]
    for text in texts:
        sender.send(SAMPLES, text)
    now[0] = 21  # what was sent less than 20 ms ago is not sent again
    first, second = (bytearray(wire) for wire in wires[0])
    wires[0].clear()
    if what == "damaged":
        first[3] ^= 1
        receiver.receive(first, len(first))
        assert wires[1], "no NAK"
    else:
        receiver.receive(second, len(second))
    for wire in wires[1]:
        sender.receive(wire, len(wire))
    for wire in wires[0]:
        receiver.receive(wire, len(wire))
    assert got == texts and sender.resent == 2


def test_refused_message_is_sent_again():
    now, wires, got, open_ = [0], ([], []), [], [False]

    def deliver(kind, data):
        if open_[0]:
            got.append(bytes(data))
        return open_[0]

    sender = Link(wires[0].append, lambda: now[0], lambda *_: None)
    receiver = Link(wires[1].append, lambda: now[0], deliver, side=BOARD)
    sender.send(SAMPLES, b"one")
    for step in range(1000):
        now[0] = step
        open_[0] = step > 300
        for wire in wires[0]:
            receiver.receive(wire, len(wire))
        wires[0].clear()
        for wire in wires[1]:
            sender.receive(wire, len(wire))
        wires[1].clear()
        sender.poll()
        receiver.poll()
    assert got == [b"one"] and not sender.queued()


def test_an_echo_is_not_an_answer():
    now, got = [0], []
    link = Link(lambda wire: link.receive(wire, len(wire)), lambda: now[0], lambda *message: got.append(message))
    link.send(SAMPLES, b"one")
    now[0] = framing.SILENCE + 1
    link.poll()
    assert link.gone() and link.echoes and not got and link.queued() == 1


def test_silence_is_noticed():
    now = [0]
    link = Link(lambda _: None, lambda: now[0], lambda *_: None)
    now[0] = framing.SILENCE
    assert not link.gone()
    now[0] += 1
    assert link.gone()


def fed(*parts):
    """A decoder that has taken these bytes, and how many frames came out."""
    decoder, found = Decoder(), 0
    for part in parts:
        start = 0
        while start < len(part):
            start = decoder.feed(part, start, len(part))
            found += decoder.size > 0
    return decoder, found


@pytest.mark.parametrize("value", [1, 2, 3, 4])
def test_a_reserved_byte_among_the_stuffed_spoils_the_frame(value):
    """However right its checksum is: the raw REPL might have taken it."""
    wire = encode(SAMPLES, 1, 2, b"\x30" * 9)
    frame = bytearray((SAMPLES, 1, 2)) + b"\x30" * 8 + bytes((value,))
    frame += framing.crc32(frame).to_bytes(4, "little")
    assert not set(frame[3:-4]) & set(range(5)) - {value} and 0 not in frame[-4:], "choose another payload"
    raw = b"\0" + bytes((len(frame) + 5,)) + frame + b"\0"  # one block, as `stuff` makes it where no byte is reserved
    rest = b"\0" + bytes((len(frame) + 4,)) + frame[1:] + b"\0"  # the frame before has left what it lacks
    for parts in ((raw, wire), [bytes((byte,)) for byte in raw + wire], (wire, rest)):
        decoder, found = fed(*parts)
        assert found == 1 and decoder.bad == 1


def test_how_many_bytes_are_sure_to_come():
    """Those of the block at hand, and the code or the delimiter behind it; of a spoilt frame nothing but its end."""
    decoder = Decoder()
    decoder.feed(b"\0" + bytes((5 + 20,)), 0, 2)
    assert decoder.sure == 20 + 1
    decoder.feed(b"a" * 8, 0, 8)
    assert decoder.sure == 20 - 8 + 1
    decoder.feed(b"\3", 0, 1)
    assert decoder.sure == 1


def test_a_link_says_nothing_before_it_has_to():
    now, said = [0], []
    link = Link(said.append, lambda: now[0], lambda *_: None)
    for now[0] in range(framing.HEARTBEAT + 1):
        link.poll()
    assert not said
    now[0] += 1
    link.poll()
    assert len(said) == 1


def test_what_waits_for_a_slot_is_queued_too():
    link = Link(lambda _: None, lambda: 0, lambda *_: None)
    for count in range(1, 25):
        link.send(SAMPLES, b"x")
        assert link.queued() == count


def test_each_gap_is_told():
    """Once, and also one that comes after another has been filled."""
    said = []
    receiver = Link(said.append, lambda: 0, lambda *_: None, side=BOARD)
    frames = [encode(SAMPLES, number, 0, b"x") for number in range(5)]
    for number, told in ((1, 1), (2, 1), (0, 1), (1, 1), (3, 2), (4, 2), (2, 2)):  # 0 comes late, then 2
        receiver.receive(frames[number], len(frames[number]))
        assert len(said) == told, number


def sending(credit=CREDIT):
    """A link, the frames that it has written, and its clock."""
    now, said = [0], []
    return Link(said.append, lambda: now[0], lambda *_: None, credit), said, now


def acknowledge(link, number, kind=framing.ACK):
    wire = encode(kind | BOARD, 0, number, b"")
    link.receive(wire, len(wire))


def test_the_credit_is_kept_to_the_byte_and_comes_back_whole():
    link, said, _ = sending(2 * (PAYLOAD + OVERHEAD))
    for size in (10, PAYLOAD):
        link.send(SAMPLES, bytes(size))
    acknowledge(link, 2)
    for size in (PAYLOAD, PAYLOAD, 1):
        link.send(SAMPLES, bytes(size))
    assert len(said) == 4  # the last one has to wait
    acknowledge(link, 3)
    assert len(said) == 5


def test_a_message_that_fills_a_frame_is_one():
    link, said, _ = sending()
    link.send(SAMPLES, bytes(PAYLOAD))
    assert len(said) == 1 and link.queued() == 1


def test_what_tells_a_gap_and_acknowledges_is_heeded_at_once():
    link, said, _ = sending()
    for _ in range(3):
        link.send(SAMPLES, b"x")
    for _ in range(2):  # the second one tells nothing new
        acknowledge(link, 1, framing.NAK)
        assert len(said) == 5 and link.resent == 2


def test_a_message_is_acknowledged_at_the_next_poll():
    link, said, _ = sending()
    wire = encode(SAMPLES | BOARD, 0, 0, b"x")
    for _ in range(2):  # and so is one that came twice
        link.receive(wire, len(wire))
        link.poll()
    assert [fed(answer)[0].frame[0] for answer in said] == [framing.ACK] * 2 and link.duplicates == 1


def test_a_longer_way_has_more_patience():
    link, _, now = sending()
    link.send(SAMPLES, b"x")
    now[0] = 90
    acknowledge(link, 1)
    link.send(SAMPLES, b"y")
    for now[0] in range(90, 90 + framing._PATIENCE + 2 * 90 + 1):
        link.poll()
    assert link.resent == 0
    now[0] += 1
    link.poll()
    assert link.resent == 1


def test_patience_begins_with_the_first_frame_that_is_on_its_way():
    link, _, now = sending()
    for now[0] in (1000, 1050):  # after a long silence
        link.send(SAMPLES, b"x")
    now[0] = 1000 + framing._PATIENCE
    link.poll()
    assert link.resent == 0
    now[0] += 1
    link.poll()
    assert link.resent == 2


def test_patience_shrinks_by_an_eighth():
    link, _, now = sending()
    link.send(SAMPLES, b"x")
    now[0] = 80
    acknowledge(link, 1)
    link.send(SAMPLES, b"y")
    acknowledge(link, 2)
    link.send(SAMPLES, b"z")
    for now[0] in range(80, 80 + framing._PATIENCE + 2 * 70 + 1):
        link.poll()
    assert link.resent == 0
    now[0] += 1
    link.poll()
    assert link.resent == 1


def test_what_comes_with_an_echo_is_taken():
    got = []
    link = Link(lambda _: None, lambda: 0, lambda kind, data: got.append(bytes(data)))
    both = encode(SAMPLES, 0, 0, b"echo") + encode(SAMPLES | BOARD, 0, 0, b"answer")
    link.receive(both, len(both))
    assert got == [b"answer"] and link.echoes == 1


def test_a_frame_that_is_too_long_is_spoilt_to_its_end():
    """However it goes on: here with what would be a right one behind its first byte, `a`."""
    run, block = bytes((framing._FULL + 5,)), b"a" * framing._RUN
    frame = bytearray(b"a12") + bytes(range(100, 150))
    frame += framing.crc32(frame).to_bytes(4, "little")
    assert min(frame) > 4, "choose another payload"
    long, rest = b"\0" + (run + block) * 2 + run + b"a" * 8, frame[51:]
    decoder, found = fed(encode(SAMPLES, 1, 2, b"x"), long, frame[1:51] + bytes((len(rest) + 5,)) + rest + b"\0")
    assert found == 1 and decoder.bad == 1
    # The byte too many is a zero that a block stands for: 50 + 49 + 1 + 7 are as many as there may be.
    frame = bytearray(b"a\0") + b"1234567890"
    frame += framing.crc32(frame).to_bytes(4, "little")
    assert min(frame[2:]) > 4, "choose another payload"
    long = b"\0" + run + block + bytes((49 + 5,)) + block[:49] + bytes((7 + 5,)) + b"a" * 7 + bytes((5,))
    decoder, found = fed(encode(SAMPLES, 1, 2, b"x"), long, bytes((len(frame) - 2 + 5,)) + frame[2:] + b"\0")
    assert found == 1 and decoder.bad == 1


def test_a_gap_that_is_told_again_is_heeded_after_20_ms():
    link, said, now = sending()
    link.send(SAMPLES, b"x")
    acknowledge(link, 0, framing.NAK)  # at 0 ms it has just begun
    assert len(said) == 1
    for now[0], count in ((20, 1), (21, 2), (41, 2), (42, 3)):
        acknowledge(link, 0, framing.NAK)
        assert len(said) == count, now
