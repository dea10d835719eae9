"""The rivals made by hand: features, forests and MLPs that emlearn converts, on the host and on the simulated board."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from ditmos.datasets.tensors import Windows
from ditmos.errors import DitmosError
from ditmos.study import rivals
from sklearn.tree import DecisionTreeClassifier


def _windows(count: int, seed: int) -> Windows:
    """Two classes: windows of the second are twice as large."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=rng)
    return Windows((torch.randn(count, 2, 40, generator=rng) + 3) * (1 + y)[:, None, None], y)


@pytest.mark.parametrize("kind", ["forest", "mlp"])
def test_handmade_rivals_are_converted(kind: str) -> None:
    train, test = _windows(300, 0), _windows(200, 1)
    found = rivals.learn(kind, train, test, 0)
    y = test.y.numpy()
    assert (found.original == y).mean() > 0.7
    assert (found.converted == found.original).mean() > 0.97  # int16 features and leaf shares in 8 bits
    assert found.flash > 0 and found.macs > rivals.feature_cost(2, 40) == found.feature_macs
    if isinstance(found.board, str):
        pytest.skip(f"simulated board: {found.board}")
    assert found.board.flash_bytes == found.flash
    assert found.ram == found.board.ram_bytes + (4 if kind == "mlp" else 2) * rivals.features(test.x).shape[1]
    low, high = {"forest": (3, 400), "mlp": (2, 40)}[kind]  # instructions of a tree, of a weight
    assert low < found.board.instructions / {"forest": 60, "mlp": found.macs - found.feature_macs}[kind] < high


def test_importing_emlearn_leaves_numpy_as_it_was() -> None:
    """In a process of its own: only the first import sets anything."""
    load = "from ditmos.bench.emlearn_models import load_emlearn; load_emlearn()"
    code = f"import numpy as np; {load}; np.exp(np.float32(-200))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_conversion_keeps_the_answers_at_the_thresholds() -> None:
    x = np.arange(-6, 6, dtype=np.int16)[:, None]
    y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    code = rivals.load_emlearn().convert(rivals.whole_thresholds(tree), method="inline", dtype="int16_t")
    found = rivals.answers(lambda file: code.save(file=str(file), name="model"), x)
    assert found.tolist() == y.tolist() == tree.predict(x).tolist()


def test_many_features_are_no_problem() -> None:
    """emlearn's own program for the host breaks such rows in two."""
    rng = np.random.default_rng(0)
    x = rng.integers(-30_000, 30_000, (50, 600)).astype(np.int16)
    tree = DecisionTreeClassifier(random_state=0).fit(x, rng.integers(0, 3, 50))
    code = rivals.load_emlearn().convert(rivals.whole_thresholds(tree), method="inline", dtype="int16_t")
    found = rivals.answers(lambda file: code.save(file=str(file), name="model"), x)
    assert found.tolist() == tree.predict(x).tolist()


def test_a_model_that_is_a_constant_takes_no_instructions() -> None:
    if missing := rivals.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    model = "#include <stdint.h>\nstatic int32_t model_predict(const int16_t *x, int32_t n) { return 1; }\n"
    x = np.array([[0, 3], [9, 4]], np.int16)
    found = rivals.on_board(lambda file: file.write_text(model), x, np.array([1, 1]))
    assert found.instructions == found.differing == 0


def test_a_board_that_disagrees_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := rivals.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    model = "#include <stdint.h>\nstatic int32_t model_predict(const int16_t *x, int32_t n) { return x[n - 1] > 3; }\n"
    x = np.array([[0, 3], [9, 4], [9, -4]], np.int16)
    found = rivals.on_board(lambda file: file.write_text(model), x, np.array([0, 1, 0]))
    assert 1 <= found.instructions < 40
    with pytest.raises(DitmosError, match="1 windows differently"):
        rivals.on_board(lambda file: file.write_text(model), x, np.array([0, 1, 1]))
    monkeypatch.setattr(rivals, "missing_tools", lambda: ["arm-none-eabi-gcc"])
    assert rivals.on_board(lambda file: None, x, x) == "not installed: arm-none-eabi-gcc"


def test_features_by_hand() -> None:
    x = np.zeros((1, 1, 8), np.float32)
    x[0, 0] = [0, 1, 0, 1, 0, 1, 0, 1]
    found = rivals.features(x)[0]
    assert found[:9].tolist() == pytest.approx([0.5, 0.5, 0, 0, 0.5, 1, 1, 1, 1])
    assert rivals.features(np.ones((2, 3, 8))).shape == (2, 4 * len(found))
