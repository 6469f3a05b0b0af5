"""What PyTorch makes of graphs: loss, gradients and buffers after one forward and backward pass.

Reads a list of cases, each a ModelGraph and values for its symbols, fills parameters and inputs with random numbers and
calls the named ATen operators one after another. Writes all arrays into one binary file, and prints where each one lies.

usage: reference.py CASES.json VALUES.bin
"""

import json
import sys

import torch

DTYPES = {"model": torch.float32, "float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
LAST = 2**63 - 1


def spread(shape):
    inputs = 1
    for length in shape[1:]:
        inputs *= length
    return min(inputs**-0.5, 0.5)


def run(graph, symbols):
    torch.manual_seed(0)
    values = {}
    given = {}

    def size(expression):
        return eval(str(expression), {"min": min, "max": max}, dict(symbols))

    def resolve(argument):
        if isinstance(argument, list):
            return [resolve(item) for item in argument]
        if isinstance(argument, int):
            # JavaScript rounds the largest integer up.
            return min(argument, LAST)
        if isinstance(argument, str):
            if argument.startswith("%"):
                return values[argument[1:]]
            if argument.startswith("="):
                return size(argument[1:])
            return DTYPES.get(argument, argument)
        return argument

    for parameter in graph["parameters"]:
        shape = parameter["shape"]
        tensor = 1 + 0.3 * torch.randn(shape) if len(shape) < 2 else torch.randn(shape) * spread(shape)
        for name in [parameter["name"], *parameter.get("aliases", [])]:
            values[name] = tensor
        given[parameter["name"]] = tensor.clone()
        tensor.requires_grad_(parameter.get("trainable", True))
    for buffer in graph["buffers"]:
        dtype = DTYPES[buffer["dtype"]]
        full = torch.ones if buffer["name"].endswith("running_var") or dtype is torch.bool else torch.zeros
        values[buffer["name"]] = full(buffer["shape"], dtype=dtype)
    for entry in graph["inputs"]:
        shape = [size(length) for length in entry["shape"]]
        dtype = DTYPES[entry["dtype"]]
        tensor = torch.randn(shape) if dtype is torch.float32 else torch.randint(0, entry.get("high", 2), shape)
        values[entry["name"]] = given[entry["name"]] = tensor

    for node in graph["nodes"]:
        library, name, *overload = node["op"].split(".")
        operator = getattr(getattr(torch.ops, library), name)
        if overload:
            operator = getattr(operator, overload[0])
        result = operator(*resolve(node["args"]), **{key: resolve(item) for key, item in node.get("kwargs", {}).items()})
        for output, tensor in zip(node["outputs"], result if isinstance(result, (list, tuple)) else [result]):
            values[output] = tensor

    loss = values[graph["loss"]]
    loss.backward()
    arrays = {f"given:{name}": tensor for name, tensor in given.items()}
    for parameter in graph["parameters"]:
        if values[parameter["name"]].grad is not None:
            arrays[f"gradient:{parameter['name']}"] = values[parameter["name"]].grad
    for buffer in graph["buffers"]:
        arrays[f"buffer:{buffer['name']}"] = values[buffer["name"]]
    return loss.item(), arrays


def main(cases_file, values_file):
    torch.use_deterministic_algorithms(True)
    with open(cases_file) as file:
        cases = json.load(file)
    answers = []
    with open(values_file, "wb") as file:
        for case in cases:
            loss, arrays = run(case["graph"], case["symbols"])
            index = {}
            for name, tensor in arrays.items():
                index[name] = {"shape": list(tensor.shape), "offset": file.tell() // 4}
                file.write(tensor.detach().to(torch.float32).contiguous().numpy().tobytes())
            answers.append({"loss": loss, "arrays": index})
    print(json.dumps(answers))


main(*sys.argv[1:])
