"""What stands between the command line of AWS and the emulator, for what the emulator lacks of point-in-time recovery."""

import datetime
import http.client
import http.server
import json
import re
import threading
import urllib.parse

from runtime_api import Server

DAYS = 35
OVERRIDES = {"SSESpecificationOverride": "SSESpecification", "OnDemandThroughputOverride": "OnDemandThroughput"}


def error_of(kind, message):
    return json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}).encode()


class PointInTime:
    """Passes every request on. Gap: the emulator restores a table as it is now, whatever the moment, and says that a table can be
    restored to this second only. Here a table can be restored to the moments that were kept, as of 35 days, each from a backup."""

    def __init__(self, emulator):
        self.emulator, self.kept = emulator, []
        # What calls are about, each of which fails once: an operation of DynamoDB, and a table; a method, and parts of the path
        # and of the body.
        # `lost` ones are done, and only their answer fails.
        self.failing, self.lost = [], []
        # The tables that expire, and those that have backups since they were asked for the first time
        self.expiring, self.ready = set(), set()
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
        if operation == "RestoreTableFromBackup":
            # Gap: the emulator leaves them out; `overridden` makes them.
            return operation, {name: request[name] for name in request if name not in OVERRIDES}
        if operation != "RestoreTableToPointInTime":
            return operation, request
        wanted = request["RestoreDateTime"]
        before = [backups for moment, backups in self.kept if int(moment.timestamp()) <= wanted]
        arn = before[-1][request["SourceTableName"]]
        return self.changed("RestoreTableFromBackup", request | {"BackupArn": arn})

    def overridden(self, operation, request):
        """Gives a restored table what the emulator left out, and takes from it what AWS does not restore."""
        table, dynamodb = request.get("TargetTableName"), self.emulator.client("dynamodb")
        if operation.startswith("RestoreTable"):
            self.ready.discard(table)
            self.expiring.discard(table)
            given = {OVERRIDES[name]: request[name] for name in OVERRIDES if name in request}
            for name, value in given.items():
                dynamodb.update_table(TableName=table, **{name: value})

    def refused(self, operation, request):
        """What AWS refuses, and the emulator takes."""
        table = request.get("TableName")
        if operation == "UpdateTimeToLive":
            if table in self.expiring:
                return "ValidationException", "TimeToLive is already enabled"
            self.expiring.add(table)
        if operation == "UpdateContinuousBackups" and table not in self.ready:
            self.ready.add(table)
            return "ContinuousBackupsUnavailableException", "Backups are being enabled for the table"
        return None

    def answered(self, operation, answer):
        if operation == "DescribeContinuousBackups" and "ContinuousBackupsDescription" in answer:
            of = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            if of["PointInTimeRecoveryStatus"] == "ENABLED":
                latest = datetime.datetime.now(datetime.timezone.utc)
                of["LatestRestorableDateTime"] = latest.timestamp()
                of["EarliestRestorableDateTime"] = (latest - datetime.timedelta(days=DAYS)).timestamp()
        return answer

    def warm(self, function):
        """Gap: the emulator does not list what keeps a function's aliases warm, and knows it of each."""
        functions, found = self.emulator.client("lambda"), []
        for alias in functions.list_aliases(FunctionName=function)["Aliases"]:
            try:
                of = functions.get_provisioned_concurrency_config(FunctionName=function, Qualifier=alias["Name"])
                found.append({"FunctionArn": alias["AliasArn"], "Status": of["Status"]})
            except functions.exceptions.ProvisionedConcurrencyConfigNotFoundException:
                pass
        return {"ProvisionedConcurrencyConfigs": found}

    @staticmethod
    def fails(planted, *about):
        for words in planted:
            if set(words.split()) <= set(about):
                planted.remove(words)
                return True
        return False

    def _handler(of):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "connection")}
                version, _, operation = headers.get("X-Amz-Target", "").partition(".")
                asked, lost = None, False
                path = urllib.parse.urlparse(self.path)
                words = re.findall(r"\w+", body[:200].decode(errors="replace"))
                if of.fails(of.failing, self.command, *path.path.split("/"), *words):
                    return self.reply(403, b'{"Type": "User", "message": "planted"}')
                if path.query == "List=ALL" and path.path.endswith("/provisioned-concurrency"):
                    return self.reply(200, json.dumps(of.warm(path.path.split("/")[3])).encode(), "application/json")
                if version.startswith("DynamoDB"):
                    request = json.loads(body or b"{}")
                    of.calls.append((operation, request))
                    table = request.get("TargetTableName") or request.get("TableName")
                    # An error that no client tries again
                    planted = ("LimitExceededException", "planted")
                    refusal = planted if of.fails(of.failing, operation, table) else of.refused(operation, request)
                    if refusal:
                        return self.reply(400, error_of(*refusal))
                    asked, original, lost = operation, request, of.fails(of.lost, operation, table)
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
                    if status == 200:
                        of.overridden(asked, original)
                    if lost:
                        return self.reply(400, error_of(*planted))
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
