"""Classes of torch that try to take their process down, or rmspec."""

import os

import torch


class Loops(torch.optim.RMSprop):
    def step(self, closure=None):
        while True:
            pass


class Interrupts(torch.optim.RMSprop):
    def step(self, closure=None):
        raise KeyboardInterrupt


class WritesToPipes(torch.optim.RMSprop):
    """Writes to descriptors that it does not own, as a confused library may."""

    def step(self, closure=None):
        for number in range(3, 64):
            try:
                if os.readlink(f"/proc/self/fd/{number}").startswith(("pipe", "socket")):
                    os.write(number, b"\x00\x10\x00\x00oops")
            except OSError:
                pass
        return super().step(closure)
