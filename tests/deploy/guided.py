"""`sam deploy --guided`, answered with Enter only: run by tests/deploy/guided."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pexpect

from emulator import ACCOUNT, REGION, Emulator
from stack import ROOT
from walk import check, check_equal


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
        for stage in ("staging", "production"):
            stage_deploys(sam, emulator, stage, environment, folder)


def stage_deploys(sam, emulator, stage, environment, folder):
    """A stage of samconfig.toml, deployed as .ci/deploy_stage does, gets its name and its parameters."""
    flags = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    command = [sam, "deploy", "--config-env", stage, "--template-file", "template.yaml", *flags]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    check(ran.returncode == 0, f"the stage {stage} deploys without a question", ran.stdout + ran.stderr)
    stack = emulator.client("cloudformation").describe_stacks(StackName=f"toktra-{stage}")["Stacks"][0]
    given = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}
    wanted = {"staging": ("false", "7"), "production": ("true", "90")}[stage]
    check_equal((given["DeletionProtection"], given["LogRetentionDays"]), wanted, "with its parameters")


if __name__ == "__main__":
    main(sys.argv[1])
