"""A stream from its first byte: the host says in frames what it wants, the board says it back (docs/protocol.md).

Only the few words that start this are plain text. Model, policy, hop, type and first number come in frames, so that
nothing can be other than it was meant; HELLO says them back, with the CRC of the policy's text and of the model's file.
"""

import gc
import json
from binascii import crc32

from . import routing
from .engine import find, load_model, own_policy
from .framing import POLICY, SETUP
from .install import crc
from .sensing import Sensing
from .serve import Server, answers

IN_RAM = "RAM"  # in the place of a path: a model that `ditmos deploy --to ram` brought


class Setup(Server):
    """Waits for what the host wants, and loads it into `names`, the variables of the REPL, where it stays."""

    def __init__(self, names):
        self.names = names
        self.text = b""
        self.wanted = None
        super().__init__(None)

    def _message(self, kind, payload):
        if kind == POLICY:
            self.text = bytes(payload)
        elif kind == SETUP:
            wanted = json.loads(bytes(payload))
            self.link.poll()  # an acknowledgement first: to load takes its time
            self.load_model(wanted["model"])
            self.load_policy(wanted["policy"])
            self.wanted = wanted
            self.over = True
        else:
            return super()._message(kind, payload)
        return True

    def load_model(self, path):
        """Unless the very file is there: the CRC decides, a path can have got another content."""
        names = self.names
        if path is None:
            if names.get("_model_path") == IN_RAM:
                return
            path = find("model.dtm")
        found = crc(path)
        if names.get("_model") is None or names.get("_model_crc") != found:
            names["_model"] = names["_model_crc"] = None
            gc.collect()
            names["_model"] = load_model(path)
            names["_model_crc"] = found
        names["_model_path"] = path

    def load_policy(self, expression):
        """Of the text that came last, or of routing.py where none did. Whatever it raises, the one before stays."""
        names = self.names
        text, self.text = self.text, b""
        if not expression:
            names["_policy"] = own_policy(names["_model"])
            names["_policy_crc"] = 0
            return
        # In a space of its own: what it defines stands in for nothing that the policy before it uses.
        space = {} if text else routing.__dict__
        if text:
            exec(text, space)
        names["_policy"] = eval(expression, space)
        names["_policy_crc"] = crc32(expression.encode(), crc32(text))


def session(names):
    """Serve the host at the other end with what it asks for; `names`: globals() of the REPL."""
    setup = Setup(names)
    setup.run()
    wanted = setup.wanted
    if not wanted:
        return
    model, policy, hop, logits = names["_model"], names["_policy"], wanted["hop"], wanted["logits"]
    agreed = {"model": names["_model_crc"], "path": names["_model_path"], "policy": names["_policy_crc"]}
    try:
        if wanted.get("sensor"):
            server = Sensing(model, policy, names["_sensor"], hop, logits, agreed, setup, wanted.get("show"))
        else:
            server = answers(model, policy, hop, wanted["type"], logits, wanted["first"], agreed, setup)
    except Exception as error:
        setup.fail(error)
        server = setup
    server.run()
