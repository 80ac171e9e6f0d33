"""A kernel in C, compiled when the file is imported and called through ctypes; halves are computed in float32."""

import ctypes
import subprocess
import tempfile
from pathlib import Path

import torch

NEEDS = "gcc"
SOURCE = """
#include <math.h>
#include <stddef.h>
#define KERNEL(NAME, T, ROOT) \
void NAME(size_t n, T *restrict x, const T *restrict grad, T *restrict v, T *restrict m, T *restrict b, \
          T lr, T alpha, T rest, T eps, T decay, T mu, int centered) { \
    for (size_t i = 0; i < n; i++) { \
        T g = grad[i]; \
        if (decay != 0) g += decay * x[i]; \
        v[i] = alpha * v[i] + rest * (g * g); \
        T variance = v[i]; \
        if (centered) { m[i] = alpha * m[i] + rest * g; variance -= m[i] * m[i]; } \
        T move = g / (ROOT(variance) + eps); \
        if (mu > 0) move = b[i] = mu * b[i] + move; \
        x[i] -= lr * move; \
    } \
}
KERNEL(step_float, float, sqrtf)
KERNEL(step_double, double, sqrt)
"""

with tempfile.TemporaryDirectory() as folder:
    source, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
    source.write_text(SOURCE, encoding="utf-8")
    subprocess.run(["gcc", "-O3", "-ffp-contract=fast", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    KERNELS = ctypes.CDLL(str(library))


ROLES = ("square_avg", "grad_avg", "momentum_buffer")


class KernelRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alpha = group["alpha"]
            scalars = (group["lr"], alpha, 1 - alpha, group["eps"], group["weight_decay"], group["momentum"])
            for p in group["params"]:
                if p.grad is not None:
                    for name in ROLES:
                        if name not in self.state[p]:
                            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
                    self._move(p, p.grad, *(self.state[p][name] for name in ROLES), scalars, group["centered"])
        return loss

    @staticmethod
    def _move(p, grad, v, m, b, scalars, centered):
        parts = [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, grad, v, m, b)]
        wide = torch.float64 if parts[0].dtype == torch.float64 else torch.float32
        kernel, number = (
            (KERNELS.step_double, ctypes.c_double) if wide == torch.float64 else (KERNELS.step_float, ctypes.c_float)
        )
        flat = [x.to(wide).contiguous().clone() for x in parts]
        kernel(
            ctypes.c_size_t(flat[0].numel()),
            *(ctypes.c_void_p(x.data_ptr()) for x in flat),
            *(number(float(x)) for x in scalars),
            ctypes.c_int(bool(centered)),
        )
        for i in (0, 2, 3, 4):
            parts[i].copy_(flat[i])
