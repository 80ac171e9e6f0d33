"""A list accepts the cause of a deviation: of two faults, one known, the other one still fails the run."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rmspec.oracles.loader import load
from rmspec.properties.check import check
from rmspec.properties.known import Known, shipped
from rmspec.reports.cli.main import main

pytest.importorskip("torch")

PORT = '''"""A port of RMSprop that puts eps inside the root and ignores momentum."""

import torch


class Port(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["square_avg"] = torch.zeros_like(p)
                v = state["square_avg"]
                v.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                p.addcdiv_(p.grad, (v + group["eps"]).sqrt_(), value=-group["lr"])
        return loss
'''

LIST = """[[known]]
id = "eps"
clause = "eps-placement"
subject = "port.py:Port"
reason = "by its cause, as a person writes it"
amendment = { eps_place = "inside" }
"""

WITHOUT = "complex,duplicates,file,groups,hooks,layout,schedule,sparse,tensor_lr"
"""Parts of a check in which neither fault shows anything new."""


def checked(capsys: Any) -> tuple[int, dict[str, str | None]]:
    """The exit code of a check of the port with its list, and what each deviating value of its own is known by."""
    common = ("--profile", "smoke", "--dtype", "float32", "--without", WITHOUT)
    code = main(("check", "port.py:Port", *common, "--known", "known.toml", "--json", "report.json"))
    capsys.readouterr()
    (subject,) = json.loads(Path("report.json").read_text("utf-8"))["subjects"]
    assert subject["stale"] == []
    found = {each["clause"]: each["known"] for each in subject["deviations"] if each["kind"] == "value"}
    return code, {clause: known for clause, known in found.items() if known != "inherited:torch"}


def test_of_two_faults_one_known_the_other_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Until ``known add`` has made an entry of it as well, with its cause; then the run passes, and no entry is stale."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "port.py").write_text(PORT)
    (tmp_path / "known.toml").write_text(LIST)
    assert checked(capsys) == (1, {"eps-placement": "eps", "momentum-update": None})
    given = ("--from", "report.json", "--known", "known.toml", "--reason", "so", "--id", "momentum")
    assert main(("known", "add", *given)) == 0
    assert 'amendment = { momentum_form = "never" }' in Path("known.toml").read_text("utf-8")
    assert checked(capsys) == (0, {"eps-placement": "eps", "momentum-update": "momentum"})


@pytest.mark.parametrize("listed", [False, True], ids=["new", "known"])
def test_what_follows_from_a_wrong_average_is_hidden_by_it_known_or_not(
    listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No amendment explains it; what two dialects have in common breaks with it, and is neither new nor verified."""
    plan = import_module("rmspec.properties.examination.plan")
    monkeypatch.setitem(plan.PROFILES, "smoke", replace(plan.PROFILES["smoke"], programs=4, sweeps=0))
    entry = Known("mine", "square-avg", "*", "so", when={"kind": "value"})
    verdict = check(
        load("rmspec.oracles.faults.averages:SquareAvgAbs"),
        profile="smoke",
        formats=("float32",),
        known=(*shipped(), entry) if listed else shipped(),
    )
    found = {each.clause: each.known for each in verdict.deviations if not each.inherited}
    assert found == {"square-avg": "mine" if listed else None}
    rows = {each.id: each for each in verdict.clauses}
    for clause in ("first-average", "order-within-bound", "order-without-eps", "lr-place-unseen"):
        assert (rows[clause].verdict, rows[clause].hidden_by) == ("hidden", ("square-avg",)), clause
