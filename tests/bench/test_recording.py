"""What recording costs a training loop, against the same iteration without it."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from rmspec.properties import record  # noqa: E402

MODELS = {
    "a small perceptron (5,000 parameters)": ([64, 64, 10], 64, 400),
    "10^7 parameters": ([1024, 3072, 2048, 256], 64, 12),
}


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("name", MODELS)
def test_the_overhead_of_recording(benchmark: Any, figure: Any, tmp_path: Path, name: str, every: int) -> None:
    """An iteration is forward, backward and step; recorded and plain ones take turns, and the best of each counts."""
    widths, batch, count = MODELS[name]
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layers = [each for a, b in pairwise(widths) for each in (torch.nn.Linear(a, b), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4, momentum=0.9)
    images, labels = torch.randn(batch, widths[0]), torch.randint(0, widths[-1], (batch,))

    def iterations(number: int) -> float:
        begin = time.perf_counter()
        for _ in range(number):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return (time.perf_counter() - begin) / number

    iterations(max(count // 4, 3))
    plain: list[float] = []
    recorded: list[float] = []

    def turn() -> None:
        plain.append(iterations(count))
        with record(optimizer, tmp_path / str(len(plain)), every=every):
            iterations(1)
            recorded.append(iterations(count - count % every or count))

    benchmark.pedantic(turn, rounds=5)
    torch.set_num_threads(threads)
    extra = (min(recorded) - min(plain)) * 1e3
    ratio = min(recorded) / min(plain)
    benchmark.extra_info["ratio_to_plain_iteration"] = ratio
    figure(
        f"recorded iteration, {name}, every={every}",
        f"{ratio:.2f} x a plain one ({min(plain) * 1e3:.2f} ms + {extra:.2f} ms)",
        "",
    )
