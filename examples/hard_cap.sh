#!/bin/sh
# A hard cap holds: one hold, its settlement, 400 racing requests, a refusal.
# Start the server with `cargo run` in another terminal.
. "$(dirname "$0")/lib.sh"

step "Make a department with a user and a hard cap of 10,000 tokens a month"
post /v1/departments '{"id": "works-'"$RUN"'", "name": "Works"}'
post /v1/departments '{"id": "lab-'"$RUN"'", "name": "Lab", "parent_id": "works-'"$RUN"'"}'
post /v1/users '{"id": "grace-'"$RUN"'", "email": "grace-'"$RUN"'@example.com", "name": "Grace",
    "department_id": "lab-'"$RUN"'", "role": "member"}'
post /v1/budgets '{"name": "Lab tokens", "department_id": "lab-'"$RUN"'", "unit": "tokens",
    "amount": 10000, "hard_cap": true}'
see amount 10000
see available 10000

step "May Grace send 1,000 tokens and get up to 3,000 back? Yes: 4,000 are held at every level"
KEY=$AGENT
ASKED='{"request_id": "r-1", "user_id": "grace-'"$RUN"'", "provider": "openai", "model": "gpt-4o",
    "input_tokens": 1000, "max_output_tokens": 3000}'
post /v1/preflight "$ASKED"
see decision allow
see hold.tokens 4000
HOLD=$(pick hold.id)

step "The same request again is a retry: it gets the same hold"
post /v1/preflight "$ASKED"
see hold.id "$HOLD"

step "Grace used 1,500. The other 2,500 come back"
post /v1/events '{"events": [{"event_id": "e-'"$RUN"'", "type": "llm_request",
    "occurred_at": "'"$(now)"'", "user_id": "grace-'"$RUN"'", "provider": "openai",
    "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500, "hold_id": "'"$HOLD"'"}]}'
drain
KEY=$ADMIN
get "/v1/budgets/effective?user_id=grace-$RUN"
see items.0.spent 1500
see items.0.held 0
see items.0.available 8500

step "400 requests of 200 tokens, 50 at a time. 8,500 are left: 42 pass, 358 do not"
ANSWERS=$(mktemp -d)
trap 'rm -rf "$ANSWERS"' EXIT
seq 400 | xargs -P 50 -I{} curl -sS "$URL/v1/preflight" \
    -H "Authorization: Bearer $AGENT" -H 'Content-Type: application/json' -o "$ANSWERS/{}" \
    -d '{"request_id": "race-{}", "user_id": "grace-'"$RUN"'", "model": "gpt-4o",
        "input_tokens": 200, "max_output_tokens": 0}'
count() { cat "$ANSWERS"/* | grep -o "\"decision\":\"$1\"" | wc -l; }
ANSWER='{"allow": '$(count allow)', "block": '$(count block)'}'
see allow 42
see block 358

step "A refusal says which level, how much is left, until when, and when to try again"
KEY=$AGENT
post /v1/preflight '{"request_id": "r-2", "user_id": "grace-'"$RUN"'", "model": "gpt-4o",
    "input_tokens": 50, "max_output_tokens": 5000}'
see decision block
see reasons.0.available 100
see reasons.0.requested 5050
mention reasons.0.message '100 tokens'
show reasons.0.resets_at retryable retry_after_seconds offer

step "A hold that is not needed is given back"
post /v1/preflight '{"request_id": "r-3", "user_id": "grace-'"$RUN"'", "model": "gpt-4o",
    "input_tokens": 100, "max_output_tokens": 0}'
see decision allow
delete "/v1/holds/$(pick hold.id)"
KEY=$ADMIN
get "/v1/budgets/effective?user_id=grace-$RUN"
see items.0.available 100

finish
