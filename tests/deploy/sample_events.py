"""The sample events of infra/events, each sent to its function's bootstrap by a Lambda Runtime API."""

import datetime
import json
import pathlib

from runtime_api import Bootstrap

EVENTS = pathlib.Path(__file__).resolve().parents[2] / "infra" / "events"
FUNCTIONS = {
    "preflight": "PreflightFunction",
    "api": "ApiFunction",
    "ingest": "IngestFunction",
    "evaluate": "EvaluateFunction",
    "reset": "ResetFunction",
    "notify": "NotifyFunction",
}


def read(function, key):
    """The sample event of a function, of now and with a key that exists where it runs."""
    text = (EVENTS / f"{function}.json").read_text()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.loads(text.replace("tk_local_agent", key).replace("2026-11-24T12:00:00Z", now))


def send(stack, bootstraps, function, key):
    environment = stack.environment(FUNCTIONS[function]) | {"AWS_ENDPOINT_URL": stack.emulator.url}
    with Bootstrap(f"{bootstraps}/{function}/bootstrap", environment) as bootstrap:
        # See Api.preflight: again, where the emulator was too slow.
        for _ in range(50):
            answer = bootstrap.invoke(read(function, key))
            if '"degraded":true' not in str(answer.get("body", "") if answer else ""):
                break
        return answer, bootstrap.lines


def check(function, answer, check):
    """Whether an answer is what the sample event should get."""
    body = json.loads(answer["body"]) if isinstance(answer.get("body"), str) and answer["body"] else {}
    expected = {
        "preflight": lambda: answer["statusCode"] == 200 and body["decision"] == "allow" and not body["degraded"],
        "api": lambda: answer["statusCode"] == 200 and body["status"] == "ok",
        "ingest": lambda: answer["statusCode"] == 202,
        "evaluate": lambda: answer["batchItemFailures"] == [],
        "reset": lambda: answer["is_complete"] and answer["failed"] == [],
        "notify": lambda: answer["batchItemFailures"] == [],
    }[function]
    check(expected(), f"infra/events/{function}.json gets its answer", answer)
