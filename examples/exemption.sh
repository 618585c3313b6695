#!/bin/sh
# One person gets past a cap, for a while: a request, a decision by somebody else, the end.
# Start the server with `cargo run` in another terminal.
. "$(dirname "$0")/lib.sh"

# Makes a key: key BODY
key() {
    KEY=$ADMIN
    post /v1/api-keys "$1"
    pick key
}
# Asks for Sam: ask REQUEST TOKENS
ask() {
    KEY=$MEMBER
    post /v1/preflight '{"request_id": "'"$1"'", "user_id": "sam-'"$RUN"'", "model": "gpt-4o",
        "input_tokens": '"$2"', "max_output_tokens": 0}'
}

step "Four keys: Sam's, his manager Mara's, and those of two administrators, Ann's and the first one"
post /v1/departments '{"id": "works-'"$RUN"'", "name": "Works"}'
post /v1/users '{"id": "mara-'"$RUN"'", "email": "mara-'"$RUN"'@example.com", "name": "Mara",
    "department_id": "works-'"$RUN"'", "role": "manager"}'
post /v1/departments '{"id": "studio-'"$RUN"'", "name": "Studio", "parent_id": "works-'"$RUN"'",
    "manager_id": "mara-'"$RUN"'"}'
post /v1/users '{"id": "sam-'"$RUN"'", "email": "sam-'"$RUN"'@example.com", "name": "Sam",
    "department_id": "studio-'"$RUN"'", "role": "member"}'
post /v1/users '{"id": "ann-'"$RUN"'", "email": "ann-'"$RUN"'@example.com", "name": "Ann",
    "department_id": "works-'"$RUN"'", "role": "admin"}'
post /v1/budgets '{"name": "Studio tokens", "department_id": "studio-'"$RUN"'", "unit": "tokens",
    "amount": 1000, "hard_cap": true}'
see amount 1000
MEMBER=$(key '{"role": "member", "user_id": "sam-'"$RUN"'"}')
MANAGER=$(key '{"role": "manager", "user_id": "mara-'"$RUN"'"}')
ANN=$(key '{"role": "admin", "user_id": "ann-'"$RUN"'"}')

step "Sam needs 5,000 tokens and the cap is 1,000. The refusal says what to ask for, and who decides"
ask sam-1 5000
see decision block
show reasons.0.message reasons.0.exemption

step "Sam asks for it; Mara could ask for him as well"
END=$(now 3)
post /v1/exemptions '{"user_id": "sam-'"$RUN"'", "kind": "raise", "tokens": 5000,
    "covers": "path", "reason": "The release is on Friday", "ends_at": "'"$END"'"}'
see status pending
ID=$(pick id)

step "His manager may not decide it. Another administrator does, once"
KEY=$MANAGER
post "/v1/exemptions/$ID/approve" "" 403
show message
KEY=$ANN
post "/v1/exemptions/$ID/approve" '{"note": "worth it"}'
see status approved
see decided_by.user_id "ann-$RUN"
KEY=$ADMIN
post "/v1/exemptions/$ID/deny" "" 409
show message

step "At once: 5,000 more than the cap has left, and not one token beyond"
ask sam-1 5000
see decision allow
ask sam-2 1001
see decision block
get "/v1/budgets/effective?user_id=sam-$RUN"
see items.0.exempted 4000
show items.0.held items.0.available

step "Ann asks for a lift for Sam, so she cannot decide it. The other administrator can"
KEY=$ANN
post /v1/exemptions '{"user_id": "sam-'"$RUN"'", "kind": "lift", "reason": "The demo",
    "ends_at": "'"$END"'"}'
LIFT=$(pick id)
post "/v1/exemptions/$LIFT/approve" "" 403
show message
KEY=$ADMIN
post "/v1/exemptions/$LIFT/approve"
see status approved

step "A lift has no limit, and every token is recorded. Revoked, it gives nothing at once"
ask sam-3 9000
see decision allow
KEY=$ADMIN
post "/v1/exemptions/$LIFT/revoke" '{"note": "The demo is over"}'
see status revoked
ask sam-4 9000
see decision block

step "The audit log says who asked, who decided and why, and that nobody altered it"
KEY=$ADMIN
get "/v1/audit-log?action=exemption"
see "items.resource~exemption/$ID.#" 2
see "items.resource~exemption/$LIFT.#" 3
show "items.resource=exemption/$LIFT.action" "items.resource=exemption/$LIFT.actor"
see "items.resource=exemption/$LIFT.after.revocation_note" "The demo is over"
get /v1/audit-log/verify
see ok true

step "Sam and those who decide got mails"
drain
get /local/emails
show "items.to~sam-$RUN.0.subject" "items.to~ann-$RUN.0.subject"

finish
