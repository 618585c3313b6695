"""What a schema cannot say: which things exist, and what goes together. Only what is meant to be right is mended."""

import functools
import hashlib
import hmac
import itertools
import json
import os
import pathlib
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

import jsonschema_rs
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation

DOCUMENT = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text())
DEPARTMENTS = ["engineering", "lab"]
USERS = ["ada", "grace"]
LEVELS = ["low", "medium", "high", "critical"]
WEBHOOK = os.environ["TOKTRA_WEBHOOK"]
HOLD = os.environ["TOKTRA_HOLD"]
SECRET = os.environ["TOKTRA_GITHUB_SECRET"]
REQUESTS = itertools.count(1)
RECEIVERS = ["https://127.0.0.1:9/hook", "https://localhost:9/?a=b"]
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
PARTS = ["cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens", "image_input_tokens",
         "cached_audio_input_tokens", "reasoning_tokens", "audio_output_tokens"]
# An exemption ends in the future, and not in years.
NOW = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
MONTH = datetime.now(timezone.utc).strftime("%Y-%m")
END = (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")

schemathesis.openapi.format("department-id", st.sampled_from(DEPARTMENTS))
schemathesis.openapi.format("user-id", st.sampled_from(USERS))
schemathesis.openapi.format("webhook-id", st.just(WEBHOOK))
schemathesis.openapi.format("hold-id", st.just(HOLD))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
schemathesis.openapi.format("receiver-url", st.sampled_from(RECEIVERS))


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.method == "DELETE" and is_needed(str(case.path_parameters.get("id"))):
        case.path_parameters["id"] = "nothing"
    if unquote(str(case.path_parameters.get("id"))) in ("", ".", ".."):
        # No client sends such a segment: it is taken out of the path, which is another one then.
        case.path_parameters["id"] = "nothing"
    if is_wrong_only_in_name(case):
        case.body = []
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # What is taken over from another answer may be null there: not every key is bound to a user.
    if case.path == "/v1/budgets/effective":
        case.query["user_id"] = one_of(USERS, case.query.get("user_id"))
    # A cursor is signed: none can be made up.
    case.query.pop("cursor", None)
    if case.query.get("department") is not None:
        case.query["department"] = one_of(DEPARTMENTS, case.query["department"])
    if case.path == "/v1/audit-log/verify" and None in (case.query.get("seq"), case.query.get("hash")):
        # A head that was kept is both.
        case.query.pop("seq", None)
        case.query.pop("hash", None)
    if case.path == "/v1/corrections":
        # A month that can have usage; a correction is of a user or of a department.
        case.query.pop("month", None)
    if case.path == "/v1/usage":
        # Not every such day exists, and a report has its longest.
        case.query.pop("start_date", None)
        case.query.pop("end_date", None)
    # One used again would get an old answer: with what may be gone by now.
    if case.headers.get("Idempotency-Key") is not None:
        case.headers["Idempotency-Key"] = f"request-{next(REQUESTS)}"
    if isinstance(case.body, (dict, list)):
        case.body = mended(case.body, case)
    if case.path == "/v1/integrations/github/{id}":
        if not isinstance(case.body, dict):
            case.body = {}
        case.headers["X-GitHub-Event"] = "unknown_event"
        sign(case)


def is_wrong_only_in_name(case):
    """Whether a body that was meant to be wrong is right: Schemathesis puts values of earlier answers into bodies, also into
    those that it has spoiled before."""
    if case.meta is None or not case.meta.is_negative_at(ParameterLocation.BODY):
        return False
    reads = body_validator(case.path, case.method.lower())
    return reads is not None and isinstance(case.body, dict) and reads.is_valid(case.body)


@functools.cache
def body_validator(path, method):
    """What the document says of an operation's body in JSON."""
    content = DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if not schema:
        return None
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


def is_needed(id):
    """Whether the run needs a thing to stay."""
    return id in (WEBHOOK, *DEPARTMENTS) or id.startswith("key_local")


def mended(value, case):
    """The same with what exists and what goes together."""
    if isinstance(value, list):
        return [mended(item, case) for item in value]
    if isinstance(value, float) and value.is_integer():
        # The API wants a whole number without a point.
        return int(value)
    if not isinstance(value, dict):
        return value
    # The names in metadata are the client's own.
    value = {name: item if name == "metadata" else mended(item, case) for name, item in value.items()}
    if case.path != "/v1/preflight" and value.get("user_id") is not None:
        value["user_id"] = one_of(USERS, value["user_id"])
    for name in ["department_id", "parent_id"]:
        if value.get(name) is not None:
            value[name] = one_of(DEPARTMENTS, value[name])
    if value.get("manager_id") is not None:
        own = value.get("id", case.path_parameters.get("id"))
        value["manager_id"] = next(user for user in USERS if user != own)
    if value.get("webhook_id") is not None:
        value["webhook_id"] = WEBHOOK
    value.pop("cursor", None)
    if isinstance(value.get("url"), str):
        value["url"] = one_of(RECEIVERS, value["url"])
    if case.path in ("/v1/api-keys", "/v1/oauth/clients") and value.get("user_id") is not None:
        # No key may do more than its user.
        value["role"] = "member"
    if case.path == "/v1/budgets/{id}/top-ups" and "amount" in value:
        value["reason"] = "The release is on Friday"
        value["amount"] = min(max(int(value["amount"]), 1), 1000)
    if case.path == "/v1/corrections":
        value["month"] = MONTH
        if value.get("user_id") is not None:
            value.pop("department_id", None)
        else:
            value["department_id"] = one_of(DEPARTMENTS, value.get("department_id"))
        if not value.get("tokens") and not value.get("usd"):
            value["tokens"] = 1
    if case.path == "/v1/prices" and not any(item is not None for name, item in value.items() if name.endswith("_per_million")):
        # One of the rates is required. The coverage phase leaves out all that may be missing, each by itself.
        value["input_usd_per_million"] = 1
    if case.path == "/v1/prices/reprice":
        # A window has an end after its beginning, and at most 31 days.
        value["from"], value["to"] = f"{NOW[:11]}00:00:00Z", f"{NOW[:11]}23:59:59Z"
    if case.path == "/v1/events" and "event_id" in value:
        # A hold is of one user, and every event may be the first of its name.
        value.pop("hold_id", None)
        value["event_id"] = f"event-{next(REQUESTS)}"
        value["occurred_at"] = NOW
        if "usage" in value:
            value["usage"] = USAGE
            value.pop("service_tier", None)
    if case.path in ("/v1/events", "/v1/preflight"):
        # Parts are at most their whole, and pictures are not counted twice.
        for name in PARTS:
            value.pop(name, None)
    if case.path == "/v1/exemptions":
        value["user_id"] = one_of(USERS, value.get("user_id"))
        value.pop("starts_at", None)
        value["ends_at"] = END
    if case.path == "/v1/users/{id}/block":
        value.pop("until", None)
    if case.path == "/v1/departments" and value.get("id") == "tree":
        value["id"] = "trees"
    if case.path == "/v1/budgets/{id}" and "amount" in value:
        value["amount"] = min(int(value["amount"]), 10**9)
    if "users" in value:
        value["users"] = {login: one_of(USERS, user) for login, user in value["users"].items()}
        value["users"] = {login.lower(): user for login, user in value["users"].items()}
    if "items" in value:
        value["items"] = list({(row["event"], row.get("action")): row for row in value["items"]}.values())
    if "actions" in value:
        key = lambda action: (action["type"], action.get("webhook_id"), action.get("url"))
        value["actions"] = list({key(action): action for action in value["actions"]}.values())
    if "field" in value and "value" in value:
        value["value"] = compared(value["field"], value["op"], value["value"])
    return value


def compared(field, op, value):
    if field == "department_id":
        is_list = isinstance(value, list)
        return [one_of(DEPARTMENTS, one) for one in value] if is_list else one_of(DEPARTMENTS, value)
    if op == "between" and field == "risk_level":
        return sorted(value, key=LEVELS.index)
    if op == "between" and field == "token_count":
        return sorted(value)
    return value


def one_of(known, value):
    return value if value in known else known[0]


def sign(case):
    """Signs as GitHub does."""
    case.path_parameters["id"] = "demo"
    sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
    body = requests.Request(**{name: sent[name] for name in sent if name in {"method", "url", "json", "data"}}).prepare().body or b""
    body = body if isinstance(body, bytes) else body.encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    case.headers["X-Hub-Signature-256"] = f"sha256={digest}"
