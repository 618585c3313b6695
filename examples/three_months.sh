#!/bin/sh
# Three months with rollover: half of the unused tokens carry over. An earlier carry is used first and
# does not carry again. The tour moves the server's clock ahead.
# Start the server with `cargo run -- --empty` in another terminal.
. "$(dirname "$0")/lib.sh"

clock() { put /local/clock '{"now": "'"$1"'"}'; }
schedule() { post /local/schedule; see report.is_complete true; }
spend() {
    KEY=$AGENT
    post /v1/events '{"events": [{"event_id": "'"$1-$RUN"'", "type": "llm_request",
        "occurred_at": "'"$2"'", "user_id": "grace-'"$RUN"'", "provider": "openai",
        "model": "gpt-4o", "input_tokens": '"$3"', "output_tokens": 0}]}'
    drain
    KEY=$ADMIN
}

# The next three months after the one the server is in, the first and last day of each.
eval "$(now | python3 -c '
import calendar, sys
year, month = map(int, sys.stdin.read()[:7].split("-"))
for name in ("FIRST", "SECOND", "THIRD"):
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    print(f"{name}={year}-{month:02}; {name}_LAST={year}-{month:02}-{calendar.monthrange(year, month)[1]}")
')"

step "In $FIRST, in Berlin: a budget of 1,000 tokens of which half of the unused carries over. 400 are used"
clock "$FIRST-10T12:00:00Z"
patch /v1/organisation '{"timezone": "Europe/Berlin"}'
post /v1/departments '{"id": "lab-'"$RUN"'", "name": "Lab"}'
post /v1/users '{"id": "grace-'"$RUN"'", "email": "grace-'"$RUN"'@example.com", "name": "Grace",
    "department_id": "lab-'"$RUN"'", "role": "member"}'
post /v1/budgets '{"name": "Lab tokens", "department_id": "lab-'"$RUN"'", "unit": "tokens",
    "amount": 1000, "hard_cap": true, "rollover": {"cap_percent": 50}}'
BUDGET=$(pick id)
spend first-1 "$FIRST-10T12:00:00Z" 400
get "/v1/budgets/$BUDGET"
see period_id "$FIRST"
see spent 400

step "After midnight in Berlin it is $SECOND, without any job: 1,000 again, nothing is spent"
clock "${FIRST_LAST}T23:30:00Z"
get "/v1/budgets/$BUDGET"
see period_id "$SECOND"
see carried 0
see available 1000

step "The schedule, which AWS fires each hour, closes $FIRST: 600 are unused, 300 carry over"
schedule
get "/v1/budgets/$BUDGET"
see carried 300
see available 1300

step "100 tokens of $FIRST are reported late: a day after its end the carry is corrected, once"
spend first-2 "${FIRST_LAST}T20:00:00Z" 100
clock "$SECOND-02T08:00:00Z"
schedule
get "/v1/budgets/$BUDGET"
see carried 250

step "$SECOND spends 1,150: the carry of 250 first, then 900 of its own. 100 are unused, 50 carry"
spend second-1 "$SECOND-02T08:00:00Z" 1150
clock "$THIRD-01T00:10:00Z"
schedule
get "/v1/budgets/$BUDGET"
see period_id "$THIRD"
see carried 50
see available 1050

step "The history of both months"
get "/v1/budgets/$BUDGET/rollovers"
see "items.from_period=$FIRST.unused" 500
see "items.from_period=$FIRST.carried_out" 250
see "items.from_period=$SECOND.unused" 100
see "items.from_period=$SECOND.carried_out" 50

step "An alert for each level that was reached: 50 % in $FIRST, 50 % and 80 % in $SECOND"
get /v1/alerts
see "items.budget_id~$BUDGET.#" 3
see "items.budget_id~$BUDGET.0.metadata.threshold" 80
see "items.budget_id~$BUDGET.1.metadata.threshold" 50
see "items.budget_id~$BUDGET.2.metadata.threshold" 50
show "items.budget_id=$BUDGET.title" "items.budget_id=$BUDGET.message"

step "The tree with its budgets, and the usage by month"
get /v1/departments/tree
see "items.id=lab-$RUN.budgets.0.available" 1050
get "/v1/usage?period=monthly&department_id=lab-$RUN"
see "items.period_id=$FIRST.total_tokens" 500
see "items.period_id=$SECOND.total_tokens" 1150
show "items.period_id=$SECOND.estimated_cost_usd"

finish
