#!/bin/sh
# A mail that bounces for good ends the mails to its address until an administrator releases it.
# Start the server with `cargo run` in another terminal.
. "$(dirname "$0")/lib.sh"

step "A manager gets a mail: half of a budget is used"
post /v1/departments '{"id": "works-'"$RUN"'", "name": "Works"}'
post /v1/users '{"id": "lea-'"$RUN"'", "email": "lea-'"$RUN"'@example.com", "name": "Lea",
    "department_id": "works-'"$RUN"'", "role": "manager"}'
patch "/v1/departments/works-$RUN" '{"manager_id": "lea-'"$RUN"'"}'
post /v1/budgets '{"name": "Works tokens", "department_id": "works-'"$RUN"'", "unit": "tokens",
    "amount": 1000, "hard_cap": false}'
spend() {
    KEY=$AGENT
    post /v1/events '{"events": [{"event_id": "'"$1-$RUN"'", "type": "llm_request",
        "occurred_at": "'"$(now)"'", "user_id": "lea-'"$RUN"'", "provider": "openai",
        "model": "gpt-4o", "input_tokens": '"$2"', "output_tokens": 0}]}'
    drain
    KEY=$ADMIN
}
spend lea-1 500
get /local/emails
mention "items.to~lea-$RUN.0.subject" "50 %"

step "It bounces: the address is suppressed, and an incident tells of it"
post /local/bounces '{"email": "lea-'"$RUN"'@example.com", "type": "bounce"}'
drain
get /v1/suppressions
see "items.email~lea-$RUN.0.reason" bounce
show "items.email~lea-$RUN.0.detail"
get /v1/incidents
show "items.title~lea-$RUN.0.title"

step "At 80 % no mail goes there"
spend lea-2 300
get /local/emails
see "items.to~lea-$RUN.#" 1

step "An administrator releases it. The next mail arrives"
delete "/v1/suppressions/lea-$RUN@example.com"
spend lea-3 200
get /local/emails
see "items.to~lea-$RUN.#" 2
mention "items.to~lea-$RUN.1.subject" "100 %"

finish
