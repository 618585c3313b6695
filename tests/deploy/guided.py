"""`sam deploy --guided`, answered with Enter only: run by tests/deploy/guided."""

import os
import pathlib
import re
import shutil
import sys
import tempfile

import pexpect

from emulator import ACCOUNT, REGION, Emulator
from stack import ROOT
from walk import check


def project(folder):
    """The project as `sam build` leaves it, but with empty packages."""
    template = (ROOT / "template.yaml").read_text()
    (folder / "package").mkdir()
    (folder / "package" / "bootstrap").write_text("")
    (folder / "template.yaml").write_text(re.sub(r"CodeUri: functions/\w+", "CodeUri: package", template))
    shutil.copy(ROOT / "samconfig.toml", folder)
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("local", "cli"))


def main(sam):
    with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        project(pathlib.Path(folder))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"AWS_ENDPOINT_URL": emulator.url, "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}
        environment |= {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test"}
        arguments = ["deploy", "--guided", "--template-file", "template.yaml"]
        asked = pexpect.spawn(sam, arguments, env=environment, cwd=folder, encoding="utf8", timeout=180, dimensions=(200, 200))
        questions = []
        # A question ends with its default: "[toktra]: ", "[y/N]: "
        while asked.expect([r"\]: ", pexpect.EOF]) == 0:
            questions.append(asked.before.splitlines()[-1])
            asked.sendline("")
        asked.close()
        check(asked.exitstatus == 0, f"sam deploy --guided deploys after {len(questions)} times Enter", asked.before)
        check("Successfully created/updated stack - toktra" in asked.before, "under the name toktra")
        strange = [question for question in questions if "Is this okay" in question]
        check(not strange, "it asks nothing that Enter would refuse", strange)
        stack = emulator.client("cloudformation").describe_stacks(StackName="toktra")["Stacks"][0]
        outputs = {output["OutputKey"] for output in stack["Outputs"]}
        wanted = {"ApiUrl", "OperatorKeyArn", "DashboardUrl", "AlarmsTopic", "DeadLettersUrl", "EventsQueueUrl"}
        check(wanted <= outputs, "and has the outputs that docs/deployment.md and the runbook use", wanted - outputs)


if __name__ == "__main__":
    main(sys.argv[1])
