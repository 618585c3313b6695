"""`sam deploy --guided`, answered as docs/deployment.md says: run by tests/deploy/guided."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pexpect
from samtranslator.yaml_helper import yaml_parse

from emulator import ACCOUNT, REGION, Emulator
from stack import ROOT, unfilled
from walk import check, check_equal

SAVE = "Save arguments to configuration file"


def project(folder):
    """The project as `sam build` leaves it, but with empty packages."""
    template = (ROOT / "template.yaml").read_text()
    (folder / "package").mkdir()
    (folder / "package" / "bootstrap").write_text("")
    (folder / "template.yaml").write_text(re.sub(r"CodeUri: functions/\w+", "CodeUri: package", template))
    shutil.copy(ROOT / "samconfig.toml", folder)
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("local", "cli"))
    monitoring = folder / "infra" / "monitoring.yaml"
    monitoring.write_text(json.dumps(unfilled(yaml_parse(monitoring.read_text()))))


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
            asked.sendline("n" if SAVE in questions[-1] and SAVE in documented() else "")
        asked.close()
        check(asked.exitstatus == 0, f"sam deploy --guided deploys after {len(questions)} answers", asked.before)
        check("Successfully created/updated stack - toktra" in asked.before, "under the name toktra")
        strange = [question for question in questions if "Is this okay" in question]
        check(not strange, "it asks nothing that Enter would refuse", strange)
        stack = emulator.client("cloudformation").describe_stacks(StackName="toktra")["Stacks"][0]
        outputs = {output["OutputKey"] for output in stack["Outputs"]}
        wanted = {"ApiUrl", "OperatorKeyArn", "DashboardUrl", "AlarmsTopic", "DeadLettersUrl", "EventsQueueUrl"}
        check(wanted <= outputs, "and has the outputs that docs/deployment.md and the runbook use", wanted - outputs)
        upgraded(sam, emulator, environment, folder)
        for stage in ("staging", "production"):
            stage_deploys(sam, emulator, stage, environment, folder)


def documented():
    """What docs/deployment.md says has to be answered with `n`."""
    return re.findall(r"`n` to `(.+?)`", (ROOT / "docs/deployment.md").read_text())


def parameters(emulator, name):
    stack = emulator.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}


def upgraded(sam, emulator, environment, folder):
    """A parameter that is set after the first deployment survives the next one, which names none."""
    before = parameters(emulator, "toktra")
    command = [sam, "deploy", "--template-file", "template.yaml", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    changed = {"LogRetentionDays": "7", "LogLevel": "debug"}
    given = [f"{name}={value}" for name, value in changed.items()]
    for more in (["--parameter-overrides", *given], []):
        ran = subprocess.run([*command, *more], env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
        check(ran.returncode == 0, f"sam deploy {' '.join(more)} upgrades", ran.stdout + ran.stderr)
        check_equal(parameters(emulator, "toktra"), before | changed, "all parameters are as they were set last")
    saved = (pathlib.Path(folder) / "samconfig.toml").read_text()
    check_equal(saved, (ROOT / "samconfig.toml").read_text(), "and the project's samconfig.toml is as it was")


def stage_deploys(sam, emulator, stage, environment, folder):
    """A stage of samconfig.toml, deployed as .ci/deploy_stage does, gets its name and its parameters."""
    flags = ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    command = [sam, "deploy", "--config-env", stage, "--template-file", "template.yaml", *flags]
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    check(ran.returncode == 0, f"the stage {stage} deploys without a question", ran.stdout + ran.stderr)
    given = parameters(emulator, f"toktra-{stage}")
    wanted = {"staging": ("false", "7"), "production": ("true", "90")}[stage]
    check_equal((given["DeletionProtection"], given["LogRetentionDays"]), wanted, "with its parameters")


if __name__ == "__main__":
    main(sys.argv[1])
