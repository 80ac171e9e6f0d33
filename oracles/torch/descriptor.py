"""PyTorch, as rmspec knows it."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.oracles.framework import Framework, Layout, RegisteredSubject

FRAMEWORK = Framework(
    name="torch",
    requires="torch",
    install="pip install 'rmspec[torch]'",
    package="rmspec.oracles.torch",
    subjects={
        "torch": RegisteredSubject(
            title="torch.optim.RMSprop, one parameter after the other (foreach=False)",
            fixed={"foreach": False},
            devices=("cpu", "cuda"),
        ),
        "torch:foreach": RegisteredSubject(
            title="torch.optim.RMSprop(foreach=True)", fixed={"foreach": True}, devices=("cpu", "cuda")
        ),
        "torch:maximize": RegisteredSubject(
            title="torch.optim.RMSprop(maximize=True), against the dialect torch-maximize",
            dialect="torch-maximize",
            fixed={"maximize": True, "foreach": False},
            devices=("cpu", "cuda"),
        ),
        "torch:differentiable": RegisteredSubject(
            title="torch.optim.RMSprop(differentiable=True)",
            fixed={"differentiable": True, "foreach": False},
            devices=("cpu", "cuda"),
        ),
        "torch:capturable": RegisteredSubject(
            title="torch.optim.RMSprop(capturable=True), on CUDA",
            fixed={"capturable": True, "foreach": False},
            devices=("cuda",),
        ),
        "torch:compiled": RegisteredSubject(
            title="torch.optim.RMSprop with step under torch.compile (slow to start)",
            fixed={"foreach": False},
            devices=("cpu", "cuda"),
        ),
        "torch:tensor-lr": RegisteredSubject(
            title="torch.optim.RMSprop with lr as a tensor", fixed={"foreach": False}, devices=("cpu", "cuda")
        ),
    },
    registered="rmspec.oracles.torch.subject:registered",
    user_subject="rmspec.oracles.torch.subject:user_subject",
    prefixes=("torch",),
    # The first step of an optimizer imports the second.
    preloaded=("rmspec.oracles.torch.subject", "torch._dynamo"),
    fallback=True,
    baseline="torch",
    dialects=(SPECIFICATION, DIALECTS["torch-maximize"]),
    layouts=(
        Layout(
            reads=(".pt", ".pth"),
            writes=(".pt", ".pth"),
            dialects=(SPECIFICATION.name, "torch-maximize"),
            page=True,
            reader="rmspec.oracles.torch.checkpoint:torch_file",
            writer="rmspec.oracles.torch.checkpoint:torch_bytes",
            loading=dict.fromkeys((".pt", ".pth"), "optimizer.load_state_dict(torch.load({path}, weights_only=True))"),
            requires="torch",
            purpose="files of torch.save need it",
            keyed=True,
        ),
    ),
    script="rmspec.oracles.torch.script:statements",
    blind_spots=(
        "what torch does with the values of sparse gradients (only that they are refused)",
        "a gradient of another format than its parameter (through grad_dtype), or on another device (torch refuses to assign it)",
    ),
    order=1,
)
