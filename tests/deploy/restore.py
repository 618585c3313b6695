"""infra/restore against the emulator: run by tests/deploy/restore."""

import os
import pathlib
import subprocess
import tempfile
import time

import walk
from emulator import ACCOUNT, REGION, Emulator
from point_in_time import PointInTime
from stack import ROOT, Stack
from walk import check, check_equal
from warm_aws import WarmAws

ITEMS = 30
YES = ["--yes"]
CODE = ["preflight", "api", "ingest", "evaluate", "reset", "notify"]


def key_of(table):
    of = table.get("SSEDescription") or {"Status": "DISABLED"}
    return of["KMSMasterKeyArn"] if of["Status"] == "ENABLED" else None


def ceilings(of):
    return {name: int(most) for name, most in of.get("OnDemandThroughput", {}).items()}


class Tables:
    """The tables of the stack, whichever it has."""

    def __init__(self, stack):
        self.stack = stack
        self.dynamodb = stack.emulator.client("dynamodb")
        self.names = {name: stack.physical[name] for name, kind in stack.kinds.items() if kind == "AWS::DynamoDB::Table"}

    def keys(self, table):
        of = self.dynamodb.describe_table(TableName=table)["Table"]
        return [key["AttributeName"] for key in of["KeySchema"]], of.get("GlobalSecondaryIndexes", [])

    def put(self, table, number, value):
        keys, indexes = self.keys(table)
        item = {name: {"S": f"{name}-{number:03}"} for name in keys}
        for index in indexes:
            item |= {key["AttributeName"]: {"S": f"i-{number:03}"} for key in index["KeySchema"]}
        self.dynamodb.put_item(TableName=table, Item=item | {"value": {"S": value}})

    def delete(self, table, number):
        keys, _ = self.keys(table)
        self.dynamodb.delete_item(TableName=table, Key={name: {"S": f"{name}-{number:03}"} for name in keys})

    def items(self, table):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table)
        return sorted((str(item) for page in pages for item in page["Items"]))

    def all(self):
        return {name: self.items(table) for name, table in self.names.items()}

    def settings(self):
        """What a restored table does not have by itself."""
        found = {}
        for name, table in self.names.items():
            of = self.dynamodb.describe_table(TableName=table)["Table"]
            time_of = self.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            recovery = self.dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
            tags = self.dynamodb.list_tags_of_resource(ResourceArn=of["TableArn"])["Tags"]
            found[name] = (
                of["DeletionProtectionEnabled"], of.get("BillingModeSummary", {}).get("BillingMode"),
                time_of.get("AttributeName"), time_of["TimeToLiveStatus"],
                recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
                sorted(str(tag) for tag in tags if not tag["Key"].startswith("aws:")),
                key_of(of), ceilings(of),
                [(index["IndexName"], ceilings(index)) for index in of.get("GlobalSecondaryIndexes", [])],
            )
        return found


class Restore:
    """The command, against the emulator."""

    def __init__(self, stack, point_in_time, folder):
        self.stack, self.folder = stack, folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment |= {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test"}
        self.environment |= {"RESTORE_POLL": "0.1", "AWS_EC2_METADATA_DISABLED": "true"}
        self.environment["PATH"] = f"{folder}:{os.environ['PATH']}"
        self.endpoint = ["--endpoint-url", point_in_time.url, "--grace", "0"]

    def run(self, *arguments, answer=""):
        begun = time.monotonic()
        ran = subprocess.run(
            [ROOT / "infra/restore", *arguments, *self.endpoint],
            input=answer, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=900,
        )
        print(f"deploy: restore {' '.join(arguments)}: {ran.returncode}, {time.monotonic() - begun:.0f} s", flush=True)
        return ran.returncode, ran.stdout + ran.stderr

    def refused(self, what, why, *arguments, answer="", at_once=False):
        """Checks that it refuses, changes nothing and leaves everything running."""
        before = (Tables(self.stack).all(), Tables(self.stack).settings())
        code, said = self.run(*arguments, answer=answer)
        check(code != 0 and why in said, f"{what}: refused", said)
        if at_once:
            check("stopping" not in said, "before anything is stopped", said)
        check_equal((Tables(self.stack).all(), Tables(self.stack).settings()), before, "and nothing was changed")
        check_equal(running(self.stack), deployed, "and everything runs")


def running(stack):
    """The states of mappings and schedule, and the concurrency that functions may not pass."""
    functions, scheduler = stack.emulator.client("lambda"), stack.emulator.client("scheduler")
    of = lambda kind: [stack.physical[name] for name, known in stack.kinds.items() if known == kind]
    mappings = [functions.get_event_source_mapping(UUID=uuid)["State"] for uuid in of("AWS::Lambda::EventSourceMapping")]
    schedules = []
    for name in of("AWS::Scheduler::Schedule"):
        known = scheduler.get_schedule(Name=name.split("/")[-1])
        schedules.append({key: known.get(key) for key in ("State", "ScheduleExpression", "Target", "FlexibleTimeWindow", "Description")})
    most = {}
    for name in of("AWS::Lambda::Function"):
        found = functions.get_function_concurrency(FunctionName=name)
        most[name] = found.get("ReservedConcurrentExecutions")
    return mappings, schedules, most


def damage(tables):
    """What somebody did by hand: half of the items are gone, others are wrong or new."""
    for table in tables.names.values():
        for number in range(ITEMS // 2):
            tables.delete(table, number)
        for number in range(ITEMS // 2, ITEMS + 5):
            tables.put(table, number, "damaged")


def refusals(restore, tables, moment):
    table = tables.names["Ledger"]
    restore.refused("a moment a year ago", "can be restored from", "--to", "2020-01-01T00:00:00Z", *YES)
    restore.refused("a time without a zone", "has no zone", "--to", moment.rstrip("Z"), *YES)
    restore.refused("another stack", "does not exist", "--stack", "nobody", "--to", moment, *YES)
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/backup/nothing"
    restore.refused("a backup that is not there", "nothing", "--from", f"Ledger={arn}", *YES)
    restore.refused("a table that is not there", "has no table", "--table", "Nothing", "--to", moment, *YES)
    warm(restore, moment)


def warm(restore, moment):
    """A function that is kept warm cannot be stopped."""
    functions = restore.stack.emulator.client("lambda")
    of = {"FunctionName": restore.stack.physical["PreflightFunction"], "Qualifier": "live"}
    functions.put_provisioned_concurrency_config(**of, ProvisionedConcurrentExecutions=1)
    restore.refused("a function that is kept warm", "ProvisionedConcurrency=0", "--to", moment, *YES, at_once=True)
    functions.delete_provisioned_concurrency_config(**of)
    name = restore.stack.physical["NotifyFunction"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    code, said = restore.run("--to", moment, *YES)
    check(code != 0 and "stands still" in said and "stopping" not in said, "nor is 0 taken for what a function had", said)
    functions.delete_function_concurrency(FunctionName=name)


def not_started(restore, point_in_time, table, moment):
    """Nothing was changed, and starting again fails: the same command does it."""
    function = restore.stack.physical["EvaluateFunction"]
    for about in (f"DELETE {function} concurrency", "PUT event-source-mappings true"):
        point_in_time.failing = [f"CreateBackup {table}", about]
        code, said = restore.run("--to", moment, *YES)
        check(code != 0 and "starting again FAILED" in said, f"{about} fails: it says that not everything runs", said)
        check(point_in_time.failing == [] and running(restore.stack) != deployed, "and not everything does")
        restore.refused("the same command, and no", "the answer is not toktra", "--to", moment, answer="no\n")


def empty(restore, tables):
    """A backup of a table without items, of a table that has some."""
    made = tables.dynamodb.create_table(
        TableName="nothing", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )["TableDescription"]["TableName"]
    arn = tables.dynamodb.create_backup(TableName=made, BackupName="empty")["BackupDetails"]["BackupArn"]
    restore.refused("an empty backup", "is empty", "--from", f"Counters={arn}", *YES)
    # One with items, but of another form
    tables.dynamodb.put_item(TableName=made, Item={"k": {"S": "a"}})
    arn = tables.dynamodb.create_backup(TableName=made, BackupName="one")["BackupDetails"]["BackupArn"]
    restore.refused("a backup of another table", "other keys or indexes", "--from", f"Governance={arn}", *YES)
    restore.refused("one without the index", "ValidationException", "--from", f"Ledger={arn}", *YES)


def main():
    global deployed
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, WarmAws(folder), Emulator() as emulator:
        folder = pathlib.Path(folder)
        for name in CODE:
            (folder / name).mkdir()
            (folder / name / "bootstrap").write_text("")
        stack = Stack(emulator, folder, {})
        tables = Tables(stack)
        check(len(tables.names) >= 3, f"the stack has the tables {', '.join(tables.names)}")
        point_in_time = PointInTime(emulator)
        restore = Restore(stack, point_in_time, folder)
        for number in range(ITEMS):
            for table in tables.names.values():
                tables.put(table, number, "right")
        for table in tables.names.values():
            # Gap: the emulator does not turn on what the template says of recovery and of items' time, and takes
            # protection for a text.
            tables.dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
            tables.dynamodb.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "y"}
            )
            tables.dynamodb.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
            arn = tables.dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
            tables.dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "budgets"}])
        # What an old backup does not have: a key, and other ceilings
        kept = tables.names["Governance"]
        # One function has a concurrency of its own, which it has to have afterwards
        functions = emulator.client("lambda")
        functions.put_function_concurrency(FunctionName=stack.physical["PreflightFunction"], ReservedConcurrentExecutions=7)
        deployed = running(stack)
        moment = point_in_time.keep(tables.names.values())
        key = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/ours"}
        most = {"MaxReadRequestUnits": 1_234, "MaxWriteRequestUnits": 567}
        tables.dynamodb.update_table(TableName=kept, SSESpecification=key)
        tables.dynamodb.update_table(TableName=kept, OnDemandThroughput=most)
        right, settings = tables.all(), tables.settings()
        time.sleep(1.1)
        damage(tables)
        damaged = tables.all()

        refusals(restore, tables, moment)
        code, said = restore.run("--to", moment, "--copies")
        check(code == 0 and said.count(f"has {ITEMS} items") == 0 and said.count(f"has {ITEMS}\n") == len(tables.names),
              "copies alone are made and counted", said)
        check_equal((tables.all(), running(stack)), (damaged, deployed), "and nothing is stopped or changed")
        empty(restore, tables)
        restore.refused("the answer no", "the answer is not toktra", "--to", moment, answer="no\n")
        # The backup that failed: the runbook deleted the table all the same
        copy = next(iter(tables.names.values()))
        point_in_time.failing = [f"CreateBackup {copy}"]
        restore.refused("a backup that fails", "planted", "--to", moment, *YES)
        not_started(restore, point_in_time, copy, moment)
        deletions = [request for operation, request in point_in_time.calls if operation == "DeleteTable"]
        check_equal(deletions, [], "no table was deleted so far")

        # Halfway: a table is deleted and its backup cannot be restored yet
        last = list(tables.names.values())[-1]
        point_in_time.failing = [f"RestoreTableFromBackup {last}"]
        code, said = restore.run("--to", moment, *YES)
        check(code != 0 and "STOPPED HALFWAY" in said, "it stops if a table cannot be restored", said)
        mappings, schedules, most = running(stack)
        check_equal(set(mappings) | {schedule["State"] for schedule in schedules}, {"Disabled", "DISABLED"}, "events and the schedule wait")
        check_equal(set(most.values()), {0}, "and no function runs")
        # Further: the answers to calls behind the restore are lost, or AWS does not take them
        first = next(iter(tables.names.values()))
        for planted in ("UpdateContinuousBackups", "UpdateTable", "TagResource", "UpdateTimeToLive"):
            lost = planted == "UpdateTimeToLive"
            point_in_time.failing, point_in_time.lost = ([], [planted]) if lost else ([planted], [])
            code, said = restore.run("--to", moment, *YES)
            check(code != 0 and "planted" in said and "STOPPED HALFWAY" in said, f"it stops if {planted} fails", said)
        code, said = restore.run("--to", moment, *YES)
        check(code == 0 and "done." in said, "the same command goes on from there", said)
        check("LOOK" not in said, "and leaves nothing to be looked at", said)
        order = [operation for operation, request in point_in_time.calls if request.get("TableName") == first]
        check("Scan" not in order[order.index("UpdateTimeToLive"):], "items are counted before any can expire", order)
        check_equal(tables.all(), right, f"all {len(right)} tables have the items of that moment, and no others")
        check_equal(tables.settings(), settings, "their protection, recovery, time to live and tags")
        check_equal(running(stack), deployed, "and everything runs as before")
        found = tables.dynamodb.query(
            TableName=tables.names["Ledger"], IndexName="by_day", KeyConditionExpression="#d = :d",
            ExpressionAttributeNames={"#d": "day"}, ExpressionAttributeValues={":d": {"S": "i-003"}},
        )
        check_equal(len(found["Items"]), 1, "the index by_day answers")

        # What was there before is in a backup, and the same command puts it back
        backups = {
            of["TableName"]: of["BackupArn"]
            for of in tables.dynamodb.list_backups()["BackupSummaries"]
            if of["BackupName"].startswith("before-")
        }
        check_equal(set(backups), set(tables.names.values()), "the tables as they were are in backups")
        name, table = "Counters", tables.names["Counters"]
        code, said = restore.run("--from", f"{name}={backups[table]}", answer="toktra\n")
        check(code == 0, "one table is restored from a backup after the answer toktra", said)
        check_equal(tables.items(table), damaged[name], "it has what that backup has")
        check_equal(running(stack), deployed, "and everything runs as before")
        point_in_time.stop()
    print(f"deploy: restore: {walk.passed} checks, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
