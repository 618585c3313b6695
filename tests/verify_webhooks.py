"""Webhooks, checked by a library that this project did not write.

Starts the local system, lets it deliver to a receiver on this machine, and verifies each delivery with the Standard Webhooks
library for Python and with openssl's HMAC of the body. Needs: pip install standardwebhooks.

    python3 tests/verify_webhooks.py target/debug/toktra
"""

import hashlib
import hmac
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request

from standardwebhooks import Webhook, WebhookVerificationError


class Receiver(http.server.BaseHTTPRequestHandler):
    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.received.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(port, method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer tk_local_admin"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def verified(secret, delivery):
    headers, body = delivery
    try:
        Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        return True
    except WebhookVerificationError:
        return False


def check(is_so, what):
    if not is_so:
        raise SystemExit(f"webhooks: {what}: FAILED")
    print(f"webhooks: {what}: ok")


def main(program):
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    system = subprocess.Popen([program, "--empty", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                call(port, "GET", "/v1/health")
                break
            except OSError:
                time.sleep(0.1)
        url = f"http://127.0.0.1:{server.server_port}/hook"
        made = call(port, "POST", "/v1/webhooks", {"url": url})
        path = f"/v1/webhooks/{made['id']}"

        def deliver():
            call(port, "POST", f"{path}/test")
            call(port, "POST", "/local/drain")
            return Receiver.received[-1]

        first = deliver()
        check(verified(made["signing_secret"], first), "the library verifies a delivery")
        headers, body = first
        check(not verified(made["signing_secret"], (headers, body + b" ")), "it refuses another body")
        older = dict(headers) | {"webhook-timestamp": "1600000000"}
        check(not verified(made["signing_secret"], (older, body)), "it refuses another time")
        expected = "sha256=" + hmac.new(made["signing_secret"].encode(), body, hashlib.sha256).hexdigest()
        own = {name.lower(): value for name, value in headers.items()}["x-toktra-signature"]
        check(own == expected, "X-Toktra-Signature is the HMAC of the body")
        rotated = call(port, "POST", f"{path}/rotate-secret")
        second = deliver()
        check(verified(rotated["signing_secret"], second), "it verifies with the new secret")
        check(verified(made["signing_secret"], second), "and with the old one, for a day")
    finally:
        system.terminate()
        system.wait(timeout=30)
        server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
