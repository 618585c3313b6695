#!/bin/sh
# A policy watches GitHub: a high risk in one department opens an incident and writes to the manager.
# GitHub signs each webhook with the secret that both know; here openssl does it.
# Start the server with `cargo run` in another terminal.
. "$(dirname "$0")/lib.sh"

step "A department with a manager and a member, who is octocat on GitHub"
post /v1/departments '{"id": "shop-'"$RUN"'", "name": "Shop"}'
post /v1/users '{"id": "mona-'"$RUN"'", "email": "mona-'"$RUN"'@example.com", "name": "Mona",
    "department_id": "shop-'"$RUN"'", "role": "manager"}'
post /v1/users '{"id": "octavia-'"$RUN"'", "email": "octavia-'"$RUN"'@example.com",
    "name": "Octavia", "department_id": "shop-'"$RUN"'", "manager_id": "mona-'"$RUN"'",
    "role": "member"}'
put /v1/integrations/github '{"secret": "a-secret-both-sides-know",
    "users": {"octocat": "octavia-'"$RUN"'"}}'
show users

step "The table of risk levels says what each kind of webhook is"
get /v1/integrations/github/risks
see items.event=secret_scanning_alert.risk_level high
see items.event=public.risk_level critical

step "A policy begins as a draft. It fires nothing until it is published"
post /v1/policies '{"name": "Leaks of the shop '"$RUN"'", "trigger": {"type": "ip_risk_event"},
    "match": "all", "conditions": [{"field": "risk_level", "op": "eq", "value": "high"},
    {"field": "department_id", "op": "eq", "value": "shop-'"$RUN"'"}],
    "actions": [{"type": "create_incident"}, {"type": "email_manager"}]}'
see status draft
POLICY=$(pick id)
post "/v1/policies/$POLICY/publish"
see status active

step "GitHub finds a leaked key in a push of octocat's and delivers a signed webhook"
BODY='{"action": "created", "alert": {"number": '"$(date +%s)$$"', "secret_type": "aws_access_key_id"},
    "repository": {"full_name": "acme/shop"}, "sender": {"login": "octocat"}}'
SIGNED=$(printf %s "$BODY" | openssl dgst -sha256 -hmac a-secret-both-sides-know | sed 's/.* //')
deliver() {
    ANSWER=$(curl -sS "$URL/v1/integrations/github/demo" -d "$BODY" -w '\n%{http_code}' \
        -H 'X-GitHub-Event: secret_scanning_alert' -H "X-GitHub-Delivery: $2" \
        -H "X-Hub-Signature-256: sha256=$1") || no_server
    CODE=$(printf '%s\n' "$ANSWER" | tail -n 1)
    ANSWER=$(printf '%s\n' "$ANSWER" | sed '$d')
    printf '   status: %s\n' "$CODE"
    [ "$CODE" = "$3" ] || fail "the webhook was answered with $CODE instead of $3"
}
deliver "$SIGNED" "d-1-$RUN" 202
see risk_level high
see user_id "octavia-$RUN"
EVENT=$(pick event_id)

step "Sent again, under whatever headers, it counts once. With another signature it is refused"
deliver "$SIGNED" "d-2-$RUN" 202
see event_id "$EVENT"
deliver "00$SIGNED" "d-3-$RUN" 401
show message
drain

step "The incident, the alert that says why, and the mail to Mona, which stays on this machine"
get /v1/incidents
see "items.policy_id~$POLICY.#" 1
show "items.policy_id=$POLICY.message"
get /v1/alerts
see "items.policy_id~$POLICY.#" 1
show "items.policy_id=$POLICY.metadata.conditions"
get /local/emails
mention "items.to~mona-$RUN.0.subject" "Leaks of the shop $RUN"

step "Wider conditions are a draft beside what is published"
patch "/v1/policies/$POLICY" '{"conditions": [{"field": "risk_level", "op": "gte", "value": "low"}]}'
see status active
see conditions.0.op eq
see draft.conditions.0.op gte

step "A test says what the draft would have done in the last 30 days"
post "/v1/policies/$POLICY/test" '{"window_days": 30}'
show would_trigger would_do
see "by_user.octavia-$RUN" 1

step "A condition that makes no sense is refused with its path"
post /v1/policies '{"name": "x", "trigger": {"type": "ip_risk_event"},
    "conditions": [{"field": "user_id", "op": "gt", "value": "ada"}]}' 400
see "details.0.field" "conditions[0].op"
show details.0.message

step "A policy that is disabled fires nothing more"
post "/v1/policies/$POLICY/disable"
see status disabled

finish
