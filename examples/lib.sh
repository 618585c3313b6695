# shellcheck shell=sh
# What the tours share: requests to the server, fields of its answers, and checks. Sourced by each
# tour; works in sh, bash and zsh, with curl and python3.
#
#   TOKTRA_URL   the server, http://127.0.0.1:3000 if it is not set

[ -z "${ZSH_VERSION:-}" ] || emulate sh
set -eu

URL=${TOKTRA_URL:-http://127.0.0.1:3000}
ADMIN=tk_local_admin
AGENT=tk_local_agent
# Ids end in this, so a tour can run again on the same server.
RUN=$(date +%s)-$$
TOUR=$(basename "${ZSH_ARGZERO:-$0}")
KEY=$ADMIN
STEPS=0
STEP="the first request"

# Ends the tour: fail MESSAGE
fail() {
    printf '\n%s failed at "%s": %s\n' "$TOUR" "$STEP" "$1" >&2
    exit 1
}

# Prints a numbered heading: step TEXT
step() {
    STEPS=$((STEPS + 1))
    STEP=$1
    printf '\n%s. %s\n' "$STEPS" "$1"
}

# Sends a request with $KEY and keeps the answer in $ANSWER and its status in $CODE. A status other
# than 2xx ends the tour unless it is named: request METHOD PATH BODY [STATUS]
request() {
    if [ -n "$3" ]; then
        ANSWER=$(curl -sS -X "$1" "$URL$2" -H "Authorization: Bearer $KEY" \
            -H 'Content-Type: application/json' -d "$3" -w '\n%{http_code}') || no_server
    else
        ANSWER=$(curl -sS -X "$1" "$URL$2" -H "Authorization: Bearer $KEY" \
            -w '\n%{http_code}') || no_server
    fi
    CODE=$(printf '%s\n' "$ANSWER" | tail -n 1)
    ANSWER=$(printf '%s\n' "$ANSWER" | sed '$d')
    case "$CODE" in
    "${4:-2??}") ;;
    2??) [ -z "${4:-}" ] || fail "$1 $2 answered $CODE instead of $4: $ANSWER" ;;
    *) fail "$1 $2 answered $CODE instead of ${4:-2xx}: $ANSWER" ;;
    esac
}

no_server() {
    fail "no answer from $URL; start the server first: cargo run"
}

get() { request GET "$1" "" "${2:-}"; }
post() { request POST "$1" "${2:-}" "${3:-}"; }
put() { request PUT "$1" "$2" "${3:-}"; }
patch() { request PATCH "$1" "$2" "${3:-}"; }
delete() { request DELETE "$1" "" "${2:-}"; }

# Prints one field of the answer: pick items.0.id. In a list, `name=Lab` is the first item with that
# field, `name~Lab` all items whose field contains the text, and `#` is the number of items.
pick() {
    printf '%s' "$ANSWER" | python3 -c '
import json, sys
place = sys.argv[1]
value = json.load(sys.stdin)
for part in place.split("."):
    try:
        if part == "#":
            value = len(value)
        elif "=" in part:
            name, wanted = part.split("=", 1)
            value = next(item for item in value if str(item.get(name)) == wanted)
        elif "~" in part:
            name, wanted = part.split("~", 1)
            value = [item for item in value if wanted in str(item.get(name))]
        elif isinstance(value, list):
            value = value[int(part)]
        else:
            value = value[part]
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        sys.exit(f"the answer has no {place}")
print(value if isinstance(value, str) else json.dumps(value))
' "$1" || fail "the answer was $ANSWER"
}

# Prints a field's name without what finds it in a list, and its value: say FIELD VALUE
say() {
    printf '   %s: %s\n' "$(printf '%s' "$1" | sed -E \
        's/(^|\.)[^.]*[=~][^.]*//; s/^items(\.[0-9]+)?\.//; s/^\.//; s/#/count/')" "$2"
}

# Prints fields of the answer: show FIELD...
show() {
    for field in "$@"; do
        shown=$(pick "$field")
        say "$field" "$shown"
    done
}

# Prints a field and ends the tour if it has another value: see FIELD VALUE
see() {
    seen=$(pick "$1")
    say "$1" "$seen"
    [ "$seen" = "$2" ] || fail "$1 is $seen instead of $2. The answer was $ANSWER"
}

# Prints a field and ends the tour if it does not contain a text: mention FIELD TEXT
mention() {
    seen=$(pick "$1")
    say "$1" "$seen"
    case "$seen" in
    *"$2"*) ;;
    *) fail "$1 does not contain \"$2\". The answer was $ANSWER" ;;
    esac
}

# Prints the server's time, which a tour may have set: now [DAYS LATER]
now() {
    ANSWER=$(curl -sS "$URL/local/clock" -H "Authorization: Bearer $ADMIN") || no_server
    pick now | python3 -c '
import datetime, sys
now = datetime.datetime.fromisoformat(sys.stdin.read().strip().replace("Z", "+00:00"))
now += datetime.timedelta(days=int(sys.argv[1]))
print(now.strftime("%Y-%m-%dT%H:%M:%SZ"))
' "${1:-0}"
}

# Waits until every queued message is handled.
drain() {
    before=$KEY
    KEY=$ADMIN
    post /local/drain
    KEY=$before
}

# The last line of each tour.
finish() {
    printf '\n%s: everything is as told.\n' "$TOUR"
}
