#!/bin/sh
# Mails and webhooks: a budget reaches half, a signed webhook and a mail tell of it; a receiver that
# is gone is tried again; a secret is exchanged. Python is the receiver here.
# Start the server with `cargo run` in another terminal.
. "$(dirname "$0")/lib.sh"

RECEIVED=$(mktemp -d)
RECEIVER=
HOOK=
leave() {
    code=$?
    [ -z "$RECEIVER" ] || kill "$RECEIVER" 2>/dev/null || true
    [ -z "$HOOK" ] || curl -sS -o /dev/null -X DELETE "$URL/v1/webhooks/$HOOK" \
        -H "Authorization: Bearer $ADMIN" || true
    rm -rf "$RECEIVED"
    exit "$code"
}
trap leave EXIT

step "A receiver on this machine"
python3 -c '
import http.server, json, os, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        names = [name.lower() for name in self.headers]
        seen = {"headers": {name: self.headers[name] for name in names}, "body": json.loads(body)}
        seen["text"] = body
        with open(sys.argv[1] + "/" + seen["body"]["type"], "w") as file:
            json.dump(seen, file)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
with open(sys.argv[1] + "/port.new", "w") as file:
    file.write(str(server.server_port))
os.rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
server.serve_forever()' "$RECEIVED" &
RECEIVER=$!
TRIES=0
until [ -s "$RECEIVED/port" ]; do
    TRIES=$((TRIES + 1))
    [ "$TRIES" -lt 100 ] || fail "the receiver did not start"
    sleep 0.1
done
PORT=$(cat "$RECEIVED/port")
post /v1/webhooks '{"url": "http://127.0.0.1:'"$PORT"'/hook"}'
HOOK=$(pick id)
SECRET=$(pick signing_secret)
show url signing_secret

# Reads what the receiver got of a type: received TYPE
received() {
    [ -s "$RECEIVED/$1" ] || fail "the receiver got no $1"
    ANSWER=$(cat "$RECEIVED/$1")
}

step "A test arrives, signed. Anybody who has the secret can check it"
post "/v1/webhooks/$HOOK/test"
TYPE=$(pick type)
drain
received "$TYPE"
show headers.webhook-id headers.webhook-signature
# openssl dgst -sha256 -hmac "$SECRET" makes the same of the body.
OURS=$(pick text | python3 -c '
import hashlib, hmac, sys
text = sys.stdin.read()[:-1].encode()
print("sha256=" + hmac.new(sys.argv[1].encode(), text, hashlib.sha256).hexdigest())' "$SECRET")
see headers.x-toktra-signature "$OURS"
get "/v1/webhooks/$HOOK/deliveries"
see items.0.status delivered
see items.0.attempts.0.status_code 204

step "Half of a budget is used: a mail to the manager and a webhook"
post /v1/departments '{"id": "works-'"$RUN"'", "name": "Works"}'
post /v1/users '{"id": "lea-'"$RUN"'", "email": "lea-'"$RUN"'@example.com", "name": "Lea",
    "department_id": "works-'"$RUN"'", "role": "manager"}'
post /v1/departments '{"id": "robotics-'"$RUN"'", "name": "Robotics", "parent_id": "works-'"$RUN"'",
    "manager_id": "lea-'"$RUN"'"}'
post /v1/users '{"id": "rob-'"$RUN"'", "email": "rob-'"$RUN"'@example.com", "name": "Rob",
    "department_id": "robotics-'"$RUN"'", "role": "member"}'
post /v1/budgets '{"name": "Robotics tokens", "department_id": "robotics-'"$RUN"'",
    "unit": "tokens", "amount": 1000, "hard_cap": false}'
KEY=$AGENT
post /v1/events '{"events": [{"event_id": "rob-'"$RUN"'", "type": "llm_request",
    "occurred_at": "'"$(now)"'", "user_id": "rob-'"$RUN"'", "provider": "openai",
    "model": "gpt-4o", "input_tokens": 500, "output_tokens": 0}]}'
drain
KEY=$ADMIN
get /local/emails
mention "items.to~lea-$RUN.0.subject" "50 %"
received budget.threshold
show body.data.title
see body.data.facts.spent 500
see body.data.facts.threshold 50

step "Nobody listens: the delivery is tried again, for a day"
kill "$RECEIVER"
wait "$RECEIVER" 2>/dev/null || true
RECEIVER=
post "/v1/webhooks/$HOOK/test"
DELIVERY=$(pick id)
drain
get "/v1/webhooks/$HOOK/deliveries"
see "items.id=$DELIVERY.status" pending
show "items.id=$DELIVERY.attempts.0.error" "items.id=$DELIVERY.next_attempt_at"

step "A new secret; the old one signs for a day more"
post "/v1/webhooks/$HOOK/rotate-secret"
[ "$(pick signing_secret)" != "$SECRET" ] || fail "the secret is the old one"
show signing_secret old_secret_until

finish
