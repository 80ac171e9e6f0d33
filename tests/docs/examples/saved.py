"""Some steps of torch's RMSprop, and its state in a file."""

import torch

p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
optimizer = torch.optim.RMSprop([p], lr=0.01, alpha=0.9, eps=1e-7, momentum=0.9)
for _ in range(10):
    optimizer.zero_grad()
    p.square().sum().backward()
    optimizer.step()
torch.save(optimizer.state_dict(), "saved.pt")
