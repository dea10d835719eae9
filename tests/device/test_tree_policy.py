"""The policy file that a tree router leaves: the same choices on MicroPython, on the host, and by scikit-learn."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware
from ditmos.model.policy import parse_policy
from ditmos.model.spec import reference_spec
from ditmos.paths import SOURCES
from ditmos.study.tree import features, policy_source
from sklearn.tree import DecisionTreeClassifier

CHANNELS, ROWS, COUNT = 3, 151, 40

STUB = """
class Stub:
    selector_scale = 0.5

    def select(self, window):
        return memoryview(bytearray({outputs}))

    def classify(self, k):
        return memoryview(bytearray([0, 0, 9]))
"""
RUN = """
with open("{windows}", "rb") as file:
    for _ in range({count}):
        window = memoryview(array.array("b", file.read({size})))
        print(*policy(Stub(), window))
"""


@pytest.mark.parametrize(
    ("margin", "outputs"), [(None, [0] * 6), (2.0, [0] * 6 + [3, 9, 8]), (2.0, [0] * 6 + [1, 9, 2])]
)
def test_the_tree_chooses_alike(tmp_path: Path, margin: float | None, outputs: list[int]) -> None:
    rng = np.random.default_rng(1)
    walks = np.cumsum(rng.normal(0, 12, (COUNT, ROWS, CHANNELS)), 1)
    windows = np.clip(np.rint(walks), -128, 127).astype(np.int8)
    tree = DecisionTreeClassifier(max_leaf_nodes=16, random_state=0)
    tree.fit(features(windows), rng.integers(0, 6, COUNT) // 2 * 2)  # some classifiers are never chosen
    source = policy_source(tree, replace(reference_spec(3, 6), selector_outputs=len(outputs)), margin)
    (tmp_path / "policy.py").write_text(source)
    (tmp_path / "windows").write_bytes(windows.tobytes())
    early = margin is not None and outputs[-2] - outputs[-1] >= margin / 0.5
    expected = [(1, None) if early else (2, int(k)) for k in tree.predict(features(windows))]

    namespace: dict = {}
    exec(STUB.format(outputs=outputs), namespace)
    policy = parse_policy(str(tmp_path / "policy.py")).load()
    assert [policy(namespace["Stub"](), memoryview(w.reshape(-1))) for w in windows] == expected

    try:
        interpreter = firmware("unix").path
    except DitmosError as error:
        pytest.skip(str(error))
    values = {"windows": tmp_path / "windows", "count": COUNT, "size": ROWS * CHANNELS}
    script = f"import array\n{source}{STUB.format(outputs=outputs)}{RUN.format(**values)}"
    (tmp_path / "script.py").write_text(script)
    path = {**os.environ, "MICROPYPATH": f"{SOURCES / 'device'}:.frozen"}
    done = subprocess.run([interpreter, tmp_path / "script.py"], capture_output=True, text=True, timeout=60, env=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [f"{label} {k}" for label, k in expected]
