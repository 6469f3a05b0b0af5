"""Trains a module and the graph that was exported from it with the same weights, and compares losses and gradients."""
import importlib.util
import json
import os
import sys

import torch
import torch.utils.checkpoint

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "..", "src", "probe", "engines", "torch"))
from batchfit_torch.interpreter import GraphModule  # noqa: E402

code, path = sys.argv[1:]
spec = importlib.util.spec_from_file_location("user_model", code)
user = importlib.util.module_from_spec(spec)
spec.loader.exec_module(user)
torch.manual_seed(0)
module, _ = user.make()
module.train()
with open(path, encoding="utf8") as file:
    graph = json.load(file)
image, labels = torch.randn(5, 3, 20, 28), torch.randint(0, 10, (5,))

for checkpointing in (False, True):
    module.set_grad_checkpointing(checkpointing)
    module.zero_grad()
    loss = torch.nn.functional.cross_entropy(module(image), labels)
    loss.backward()
    run = GraphModule(graph, {"H": 20, "W": 28}, torch.float32, torch.device("cpu"), checkpointing)
    for name, parameter in module.named_parameters():
        run.named["%" + name].data.copy_(parameter.data)
    again, outputs = run({"%image": image, "%labels": labels})
    again.backward()
    assert outputs[0].shape == (5, 10), outputs[0].shape
    assert loss.item() == again.item(), (loss.item(), again.item())
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter.grad, run.named["%" + name].grad), name
print("same loss and gradients, with and without checkpointing")
