"""Processes that break the wire protocol on purpose: ``python broken.py FAULT``, at hello or at the first perform."""

import copy
import json
import os
import sys
import threading

FAULT = sys.argv[1]
HELLO = {
    "reply": "hello",
    "protocol": "rmspec.wire/1",
    "formats": ["float32"],
    "options": ["lr"],
    "features": ["closure"],
}
ARRAY = {"dtype": "float32", "shape": [1], "values": ["0x1.0000000000000p+0"]}
OBSERVATION = {"params": {"p": ARRAY}, "grads": {"p": None}}


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def forever():
    threading.Event().wait()


def hello():
    changes = {
        "other-version": {"protocol": "rmspec.wire/2"},
        "unknown-dialect": {"dialect": "torhc"},
        "unknown-feature": {"features": ["telepathy"]},
    }
    match FAULT:
        case "exits-at-start":
            sys.exit("no such module")
        case "refuses-at-start":
            return {"reply": "failed", "message": "no licence", "hint": "buy one"}
        case "closes-at-start":
            os.close(1)
            forever()
        case "banner":
            write("Welcome to the optimizer!\n")
        case "deaf":
            write(json.dumps({"id": 1, **HELLO}) + "\n")
            forever()
        case "tensorflow":
            return {**HELLO, "dialect": "tensorflow", "versions": {"broken": "1"}, "roles": ["square_avg"]}
    return {**HELLO, **changes.get(FAULT, {})}


def performed(id):
    reply = {"reply": "performed", "outcome": {}, "observation": copy.deepcopy(OBSERVATION)}
    seen = reply["observation"]
    match FAULT:
        case "garbage":
            write("step 1: loss=\x1b[31m0.5\x1b[0m\n")
        case "list":
            write("[1, 2]\n")
        case "deep":
            write("[" * 100_000 + "\n")
        case "bytes":
            sys.stdout.buffer.write(b"\xff\xfe\n")
        case "json-nan":
            write(json.dumps({"id": id, **reply, "outcome": {"loss": float("nan")}}) + "\n")
        case "wrong-id":
            write(json.dumps({"id": id + 1, **reply}) + "\n")
        case "speaks-twice":
            write(json.dumps({"id": id, **reply}) + "\n")
        case "exits":
            print("Traceback\nValueError: boom", file=sys.stderr)
            os._exit(3)
        case "aborts":
            os.abort()
        case "hangs":
            forever()
        case "half-a-line":
            write('{"id": ')
            forever()
        case "closes-stdout":
            os.close(1)
            forever()
        case "floods-stderr":
            sys.stderr.write("warning: deprecated\n" * 100_000)
        case "cannot":
            return {"reply": "failed", "message": "out of memory"}
        case "started-again":
            reply["reply"] = "started"
        case "decimal":
            seen["params"]["p"]["values"] = ["1.0"]
        case "not-float32":
            seen["params"]["p"]["values"] = ["0x1.0000000000001p+0"]
        case "beyond-float64":
            seen["params"]["p"]["values"] = ["0x1p+5000"]
        case "too-many-values":
            seen["params"]["p"]["values"] *= 2
        case "other-shape":
            seen["params"]["p"] |= {"shape": [2], "values": ARRAY["values"] * 2}
        case "no-param":
            seen["params"] = {}
        case "stranger":
            seen["grads"]["q"] = None
    return reply


def main():
    for line in sys.stdin:
        message = json.loads(line)
        match message["request"]:
            case "hello":
                reply = hello()
            case "start":
                reply = {"reply": "started", "observation": OBSERVATION}
            case "perform":
                reply = performed(message["id"])
            case "close":
                reply = {"reply": "closed"}
            case "bye":
                reply = {"reply": "bye"}
        write(json.dumps({"id": message["id"], **reply}) + "\n")


main()
