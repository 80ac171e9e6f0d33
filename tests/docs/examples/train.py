"""A training run that is recorded; at step 700 something decays the weights a little more."""

import torch

from rmspec.properties import record


class RMSprop(torch.optim.RMSprop):
    decays = False

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups if self.decays else ():
            for p in group["params"]:
                p.mul_(1 - 2e-6)
        return loss


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    labels = torch.randint(0, 10, (256,))
    images = torch.randn(10, 64)[labels] + 0.7 * torch.randn(256, 64)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
    optimizer = RMSprop(model.parameters(), lr=0.001, momentum=0.9)
    with record(optimizer, "recording", named_parameters=model.named_parameters()):
        for step in range(1, 1001):
            optimizer.decays = step >= 700
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
