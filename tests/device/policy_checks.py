"""Every shipped policy on models in a folder, under MicroPython: one JSON line a model and policy.

`micropython policy_checks.py FOLDER`, or `mpremote mount FOLDER run tests/device/policy_checks.py`. A line holds
[model, policy, settings, answers]: (label, who, classifier runs) of each window, or what a ValueError says.
"""

import json
import sys
from array import array

import ditmos
from ditmos import routing

folder = (getattr(sys, "argv", [])[1:] or ["/remote"])[0]

with open(folder + "/policies.json") as file:
    models, policies = json.load(file)
for name in models:
    model = ditmos.load_model(folder + "/" + name + ".dtm")
    fed = model.trees > 0  # a forest votes on samples
    size = model.raw_window * model.raw_channels if fed else model.window * model.channels
    with open(folder + "/" + name + ".windows", "rb") as file:
        windows = array("h" if fed else "b", file.read())
    for policy, settings in policies:
        counted = routing.Counter(model)
        answers = []
        try:
            made = routing.named(policy, settings)
            for at in range(0, len(windows), size):
                counted.runs, window = 0, windows[at : at + size]
                if fed:
                    model.feed_reset()
                    model.feed(window)
                label, who = routing.verdict(model, made(counted, None if fed else window))
                answers.append((label, who, counted.runs))
        except ValueError as error:
            answers = str(error)
        print(json.dumps([name, policy, settings, answers]))
