"""What stands between a bootstrap and DynamoDB, and counts."""

import http.client
import http.server
import json
import threading
import urllib.parse

from runtime_api import Server


# Units of DynamoDB: read, written, and which of these are of the table of counters
NO_UNITS = {"read": 0, "write": 0, "cell": 0}


class Counter:
    """Counts the calls, connections and units of a bootstrap on their way to the emulator; without one it answers each with nothing."""

    def __init__(self, emulator=None):
        self.calls, self.connections, self.units = [], 0, dict(NO_UNITS)
        self.upstream = urllib.parse.urlparse(emulator.url).netloc if emulator else None
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def add_units(self, operation, answer):
        consumed = answer.get("ConsumedCapacity") or []
        for of in consumed if isinstance(consumed, list) else [consumed]:
            kind = "read" if operation in ("GetItem", "Query", "BatchGetItem") else "write"
            self.units[kind] += of.get("CapacityUnits", 0)
            if kind == "write" and "Counters" in of.get("TableName", ""):
                self.units["cell"] += of.get("CapacityUnits", 0)

    def taken(self):
        """What was counted since the last time."""
        counted = (self.calls, self.connections, self.units)
        self.calls, self.connections, self.units = [], 0, dict(NO_UNITS)
        return counted

    def _handler(of):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                of.connections += 1
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = json.loads(body or b"{}")
                operation = self.headers.get("X-Amz-Target", "").split(".")[-1]
                table = request.get("TableName", "").split("-")[1:2]
                key = request.get("Key", {}) or request.get("ExpressionAttributeValues", {})
                names = [next(iter(value.values())) for value in key.values() if isinstance(value, dict)]
                request["ReturnConsumedCapacity"] = "TOTAL"
                of.calls.append(f"{operation} {''.join(table)} {' '.join(str(name)[:40] for name in names[:2])}")
                status, answer = 200, b'{"SecretString": "a secret"}' if operation == "GetSecretValue" else b"{}"
                if of.upstream:
                    if self.headers.get("X-Amz-Target", "").startswith("DynamoDB"):
                        body = json.dumps(request).encode()
                    connection = http.client.HTTPConnection(of.upstream, timeout=30)
                    own = ("host", "content-length", "connection")
                    given = {name: value for name, value in self.headers.items() if name.lower() not in own}
                    connection.request("POST", self.path, body, given)
                    reply = connection.getresponse()
                    status, answer = reply.status, reply.read()
                    of.add_units(operation, json.loads(answer or b"{}"))
                    connection.close()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler
