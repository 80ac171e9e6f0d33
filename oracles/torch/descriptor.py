"""PyTorch, as rmspec knows it."""

from __future__ import annotations

from collections.abc import Mapping

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.oracles.framework import (
    EvidenceCounter,
    ExecutionSwitch,
    Framework,
    Layout,
    OperationAccuracy,
    Primitives,
    RegisteredSubject,
)


def _counter(path: str, name: str, title: str) -> EvidenceCounter:
    return EvidenceCounter(path=path, counts=f"rmspec.oracles.torch.evidence:{name}", title=title)


_SINGLE: Mapping[Operation, str] = {
    "add": "torch.add(x, y)",
    "multiply": "torch.mul(x, y)",
    "divide": "torch.div(x, y)",
    "sqrt": "torch.sqrt(x)",
    "multiply-add": "torch.addcmul(z, x, y)",
}

FRAMEWORK = Framework(
    name="torch",
    requires="torch",
    install="pip install 'rmspec[torch]'",
    package="rmspec.oracles.torch",
    subjects={
        "torch": RegisteredSubject(
            title="torch.optim.RMSprop, one parameter after the other (foreach=False)",
            fixed={"foreach": False},
            paths=("single-tensor",),
            devices=("cpu", "cuda"),
        ),
        "torch:foreach": RegisteredSubject(
            title="torch.optim.RMSprop(foreach=True)",
            fixed={"foreach": True},
            paths=("foreach",),
            devices=("cpu", "cuda"),
        ),
        "torch:maximize": RegisteredSubject(
            title="torch.optim.RMSprop(maximize=True), against the dialect torch-maximize",
            dialect="torch-maximize",
            fixed={"maximize": True, "foreach": False},
            paths=("maximize",),
            devices=("cpu", "cuda"),
        ),
        "torch:differentiable": RegisteredSubject(
            title="torch.optim.RMSprop(differentiable=True)",
            fixed={"differentiable": True, "foreach": False},
            paths=("differentiable",),
            devices=("cpu", "cuda"),
        ),
        "torch:capturable": RegisteredSubject(
            title="torch.optim.RMSprop(capturable=True), on CUDA",
            fixed={"capturable": True, "foreach": False},
            paths=("capturable",),
            devices=("cuda",),
        ),
        "torch:compiled": RegisteredSubject(
            title="torch.optim.RMSprop with step under torch.compile (slow to start)",
            fixed={"foreach": False},
            paths=("compiled",),
            devices=("cpu", "cuda"),
        ),
        "torch:tensor-lr": RegisteredSubject(
            title="torch.optim.RMSprop with lr as a tensor",
            fixed={"foreach": False},
            paths=("tensor-lr",),
            devices=("cpu", "cuda"),
        ),
    },
    registered="rmspec.oracles.torch.subject:registered",
    user_subject="rmspec.oracles.torch.subject:user_subject",
    threads="rmspec.oracles.torch.session:on_threads",
    first_session="rmspec.oracles.torch.first_session:first_session",
    switches={
        "foreach": ExecutionSwitch(automatic=("cuda",)),
        "differentiable": ExecutionSwitch(),
        "capturable": ExecutionSwitch(devices=("cuda",), refusable=True),
        "fused": ExecutionSwitch(refusable=True),
    },
    prefixes=("torch",),
    # The first step of an optimizer imports the second.
    preloaded=("rmspec.oracles.torch.subject", "torch._dynamo"),
    # What another process has compiled would decide what is compiled here.
    caches=("TORCHINDUCTOR_CACHE_DIR",),
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
    counters=(
        _counter("single-tensor", "single_tensor", "calls of torch.optim.rmsprop._single_tensor_rmsprop"),
        _counter("foreach", "foreach", "calls of torch.optim.rmsprop._multi_tensor_rmsprop"),
        _counter("maximize", "maximize", "calls of _single_tensor_rmsprop with maximize=True"),
        _counter(
            "differentiable",
            "differentiable",
            "calls of _single_tensor_rmsprop that record their operations for autograd",
        ),
        _counter("capturable", "capturable", "calls of _single_tensor_rmsprop with capturable=True"),
        _counter("tensor-lr", "tensor_lr", "calls of _single_tensor_rmsprop with a tensor for lr"),
        EvidenceCounter(
            path="compiled",
            counts="rmspec.oracles.torch.evidence:compiled",
            title="graphs of torch.compile entered",
            always=True,
            variants=True,
        ),
        EvidenceCounter(
            path="graphs", counts="rmspec.oracles.torch.evidence:graphs", title="graphs compiled", always=True
        ),
    ),
    accuracies=(
        OperationAccuracy(
            operation="sqrt",
            device="cpu",
            formats=("float32", "float64"),
            ulps=1.0,
            source="Intel oneMKL, Vector Mathematics, high accuracy: below 1 ulp",
            apart=("compiled",),
        ),
        OperationAccuracy(
            operation="divide",
            device="cuda",
            formats=("float32",),
            ulps=2.0,
            source="PTX ISA, div.full.f32, which Triton's / becomes: within 2 ulps",
            paths=("compiled",),
        ),
    ),
    primitives=Primitives(
        evaluator="rmspec.oracles.torch.operations:evaluator",
        imports=("import torch",),
        array="torch.tensor({values}, dtype=torch.{format}{device})",
        number="{array}.item()",
        call={
            "": _SINGLE,
            "foreach": {
                "add": "torch._foreach_add([x], [y])[0]",
                "multiply": "torch._foreach_mul([x], [y])[0]",
                "divide": "torch._foreach_div([x], [y])[0]",
                "sqrt": "torch._foreach_sqrt([x])[0]",
                "multiply-add": "torch._foreach_addcmul([z], [x], [y])[0]",
            },
            "compiled": {
                operation: f"torch.compile(lambda x, y, z: {expression})(x, y, z)"
                for operation, expression in _SINGLE.items()
            },
        },
    ),
    blind_spots=(
        "what torch does with the values of sparse gradients (only that they are refused)",
        "attributes of an optimizer that torch leaves out of its copies: all but defaults, state and param_groups",
        "a gradient of another format than its parameter (through grad_dtype), or on another device (torch refuses to assign it)",
    ),
    order=1,
)
