"""What stands between the command line of AWS and the emulator, for what the emulator lacks of point-in-time recovery."""

import datetime
import http.client
import http.server
import json
import threading
import urllib.parse

from runtime_api import Server

DAYS = 35


class PointInTime:
    """Passes every request on. Gap: the emulator restores a table as it is now, whatever the moment, and says that a table can be
    restored to this second only. Here a table can be restored to the moments that were kept, as of 35 days, each from a backup."""

    def __init__(self, emulator):
        self.emulator, self.kept = emulator, []
        # Names of calls, each of which fails once; with a table, the one about it
        self.failing = []
        self.calls = []
        self.upstream = urllib.parse.urlparse(emulator.url).netloc
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def keep(self, tables):
        """A moment that these tables can be restored to from now on."""
        dynamodb = self.emulator.client("dynamodb")
        backups = {
            table: dynamodb.create_backup(TableName=table, BackupName="moment")["BackupDetails"]["BackupArn"] for table in tables
        }
        moment = datetime.datetime.now(datetime.timezone.utc)
        self.kept.append((moment, backups))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def changed(self, operation, request):
        """The call that the emulator gets instead."""
        if operation != "RestoreTableToPointInTime":
            return operation, request
        wanted = request["RestoreDateTime"]
        before = [backups for moment, backups in self.kept if int(moment.timestamp()) <= wanted]
        arn = before[-1][request["SourceTableName"]]
        return "RestoreTableFromBackup", {"BackupArn": arn, "TargetTableName": request["TargetTableName"]}

    def answered(self, operation, answer):
        if operation == "DescribeContinuousBackups" and "ContinuousBackupsDescription" in answer:
            of = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            if of["PointInTimeRecoveryStatus"] == "ENABLED":
                latest = datetime.datetime.now(datetime.timezone.utc)
                of["LatestRestorableDateTime"] = latest.timestamp()
                of["EarliestRestorableDateTime"] = (latest - datetime.timedelta(days=DAYS)).timestamp()
        return answer

    def fails(self, operation, request):
        about = f"{operation} {request.get('TargetTableName') or request.get('TableName')}"
        for name in (operation, about):
            if name in self.failing:
                self.failing.remove(name)
                return True
        return False

    def _handler(of):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "connection")}
                version, _, operation = headers.get("X-Amz-Target", "").partition(".")
                asked = None
                if version.startswith("DynamoDB"):
                    request = json.loads(body or b"{}")
                    of.calls.append((operation, request))
                    if of.fails(operation, request):
                        # An error that no client tries again
                        return self.reply(400, b'{"__type": "com.amazonaws.dynamodb.v20120810#LimitExceededException", "message": "planted"}')
                    asked = operation
                    operation, request = of.changed(operation, request)
                    headers["X-Amz-Target"] = f"{version}.{operation}"
                    body = json.dumps(request).encode()
                connection = http.client.HTTPConnection(of.upstream, timeout=60)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read()
                kind = answer.headers.get("Content-Type", "application/x-amz-json-1.0")
                connection.close()
                if asked:
                    text = json.dumps(of.answered(asked, json.loads(text or b"{}"))).encode()
                self.reply(status, text, kind)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_one

            def reply(self, status, text, kind="application/x-amz-json-1.0"):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(text)

            def log_message(self, *_):
                pass

        return Handler
