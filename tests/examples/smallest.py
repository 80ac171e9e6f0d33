"""The smallest subject: plain Python, one format, one group, no rmspec; its state is its own business."""

import json
import math
import sys

HELLO = {
    "reply": "hello",
    "protocol": "rmspec.wire/1",
    "formats": ["float64"],
    "options": ["lr", "alpha", "eps"],
    "features": [],
    "missing": {"groups": "it takes a list of parameters alone"},
}


class Tensor:
    def __init__(self, values, shape):
        self.shape, self.data, self.grad = shape, self.filled(values, shape), None

    @staticmethod
    def filled(values, shape):
        return [float.fromhex(values[i % len(values)]) for i in range(math.prod(shape))]

    def array(self, values):
        return (
            values if values is None else {"dtype": "float64", "shape": self.shape, "values": [show(x) for x in values]}
        )


def show(x):
    return x.hex() if math.isfinite(x) else str(x)


def update(tensor, averages, lr, alpha, eps):
    for i, g in enumerate(tensor.grad):
        v = averages[i] = alpha * averages[i] + (1 - alpha) * (g * g)
        d = math.sqrt(v) + eps
        tensor.data[i] -= lr * (g / d if d else math.nan if g == 0 or math.isnan(g) else math.copysign(math.inf, g))


def perform(call, tensors, optimizers):
    match call["op"]:
        case "create":
            options = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}
            options |= {name: float.fromhex(value) for name, value in call.get("options", {}).items()}
            if min(options.values()) < 0:
                raise ValueError("an option is negative")
            names = call["groups"][0]["params"]
            optimizers[call["optimizer"]] = {name: [0.0] * len(tensors[name].data) for name in names}, options
        case "set_grad":
            tensor = tensors[call["param"]]
            tensor.grad = None if call["values"] is None else tensor.filled(call["values"], tensor.shape)
        case "freeze":
            tensors[call["param"]].grad = None
        case "step":
            state, options = optimizers[call["optimizer"]]
            for name, averages in state.items():
                if tensors[name].grad is not None:
                    update(tensors[name], averages, **options)


def observation(tensors):
    return {
        "params": {name: tensor.array(tensor.data) for name, tensor in tensors.items()},
        "grads": {name: tensor.array(tensor.grad) for name, tensor in tensors.items()},
    }


def main():
    tensors, optimizers = {}, {}
    for line in sys.stdin:
        message = json.loads(line)
        match message["request"]:
            case "hello":
                reply = HELLO
            case "start":
                optimizers = {}
                tensors = {
                    p["name"]: Tensor(p.get("values", ["0x1p+0"]), p.get("shape", [1])) for p in message["params"]
                }
                reply = {"reply": "started", "observation": observation(tensors)}
            case "perform":
                outcome = {}
                try:
                    perform(message["call"], tensors, optimizers)
                except (ArithmeticError, ValueError) as error:
                    outcome = {"raised": {"type": type(error).__name__, "message": str(error)}}
                reply = {"reply": "performed", "outcome": outcome, "observation": observation(tensors)}
            case "close":
                reply = {"reply": "closed"}
            case "bye":
                reply = {"reply": "bye"}
        print(json.dumps({"id": message["id"], **reply}), flush=True)
        if reply["reply"] == "bye":
            return


main()
