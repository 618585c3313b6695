"""Holds the templates and the workflows to checkov and to rules of our own: run by tests/deploy/configuration."""

import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def failed_checks(checkov, *arguments):
    """The checks that fail, each with the resources."""
    command = [checkov, "--skip-download", "--output", "json", "--soft-fail", *arguments]
    # Elsewhere, so that it does not find .checkov.yaml with its exceptions by itself
    said = subprocess.run(command, cwd="/", capture_output=True, text=True)
    try:
        reports = json.loads(said.stdout)
    except ValueError:
        sys.exit(f"configuration: checkov says: {said.stdout[-2000:]} {said.stderr[-2000:]}")
    found, passed = {}, 0
    for report in reports if isinstance(reports, list) else [reports]:
        results = report.get("results", {})
        passed += len(results.get("passed_checks", []))
        for check in results.get("failed_checks", []):
            found.setdefault(check["check_id"], []).append(check["resource"])
    return found, passed


def exceptions(text):
    """The checks that .checkov.yaml leaves out, and whether a reason stands above each."""
    lines = text.splitlines()
    found = {}
    for at, line in enumerate(lines):
        named = re.match(r"\s+- (CKV\w+)$", line)
        if named:
            found[named[1]] = lines[at - 1].strip().startswith("#")
    return found


def wrong_templates(checkov):
    text = (ROOT / ".checkov.yaml").read_text()
    settings = yaml.safe_load(text)
    known = exceptions(text)
    files = [part for name in settings["file"] for part in ("--file", str(ROOT / name))]
    missing = [str(path) for path in (ROOT / "infra").glob("*.yaml") if f"infra/{path.name}" not in settings["file"]]
    failed, passed = failed_checks(checkov, *files, "--framework", *settings["framework"])
    wrong = [f"{path} is not in .checkov.yaml" for path in missing]
    wrong += [f"{check} fails for {', '.join(resources)}" for check, resources in failed.items() if check not in known]
    wrong += [f"{check} is left out without a reason" for check, has_reason in known.items() if not has_reason]
    wrong += [f"{check} is left out, and nothing needs it any longer" for check in known if check not in failed]
    wrong += ["checkov looks at next to nothing"] if passed < 50 else []
    print(f"configuration: {passed} checks of the templates pass, {len(known)} are left out with a reason")
    return wrong


def wrong_workflows(checkov):
    failed, passed = failed_checks(checkov, "--directory", str(ROOT / ".github/workflows"), "--framework", "github_actions")
    wrong = [f"{check} fails for {', '.join(resources)}" for check, resources in failed.items()]
    for path in WORKFLOWS:
        text = path.read_text()
        for used in re.findall(r"uses: (\S+)(.*)", text):
            is_own = used[0].startswith("./")
            is_pinned = re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used[0]) and re.fullmatch(r" # v[\d.]+", used[1])
            if not is_own and not is_pinned:
                wrong.append(f"{path.name}: {used[0]} is not named by a commit and its version")
        if yaml.safe_load(text).get("permissions") != {}:
            wrong.append(f"{path.name}: not every job says its own permissions")
        for name, job in yaml.safe_load(text)["jobs"].items():
            if job.get("permissions") not in ({"contents": "read"}, {"contents": "read", "id-token": "write"}):
                wrong.append(f"{path.name}: the job {name} has other permissions than to read, and to be known to AWS")
            if "uses" not in job and not re.fullmatch(r"ubuntu-24\.04(-arm)?", str(job.get("runs-on"))):
                wrong.append(f"{path.name}: the job {name} runs on {job.get('runs-on')}")
        # A value of an event, put into a script, could be a command.
        for script in re.findall(r"run: (.*)", text):
            if "${{" in script:
                wrong.append(f"{path.name}: a script has an expression in it: {script}")
    print(f"configuration: {passed} checks of the workflows pass")
    return wrong


class Template(yaml.SafeLoader):
    """A template of CloudFormation: `!Sub x` becomes `{"Sub": x}`."""


def intrinsic(loader, name, node):
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: lambda of: loader.construct_sequence(of, deep=True)}
    kinds[yaml.MappingNode] = lambda of: loader.construct_mapping(of, deep=True)
    return {name: kinds[type(node)](node)}


Template.add_multi_constructor("!", intrinsic)


def resolved(value, given):
    """What CloudFormation makes of a text, of these parameters."""
    if not isinstance(value, dict):
        return value
    (name, of), = value.items()
    if name == "Ref":
        return given[of]
    if name in ("Split", "Select"):
        first, second = of[0], resolved(of[1], given)
        return second.split(first) if name == "Split" else second[first]
    text, more = (of, {}) if isinstance(of, str) else of
    given = given | {key: resolved(value, given) for key, value in more.items()}
    return re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], text)


def wrong_trust():
    """Whom the role of a stage trusts: one environment of one repository, by both names that GitHub has for it."""
    template = yaml.load((ROOT / "infra/deploy-role.yaml").read_text(), Template)
    statements = template["Resources"]["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    given = {"Repository": "octo-org/octo.repo", "OwnerId": "123", "RepositoryId": "456", "Stage": "staging"}
    found = []
    for statement in statements:
        subjects = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        found += [resolved(of, given) for of in (subjects if isinstance(subjects, list) else [subjects])]
    expected = ["repo:octo-org/octo.repo:environment:staging", "repo:octo-org@123/octo.repo@456:environment:staging"]
    return [] if sorted(found) == expected else [f"the role of a stage trusts {found}, and not {expected}"]


def wrong_commands():
    """What an interactive zsh, the shell of every Mac, reads otherwise: `#` begins no comment there, and a variable is one word."""
    wrong = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.S | re.M):
            wrong += [f"{path.name}: a comment behind a command: {line}" for line in re.findall(r"^.*\S\s+# .*$", block, re.M)]
            wrong += [f"{path.name}: a loop over one word: {line}" for line in re.findall(r"^.*\bfor \w+ in \$\w.*$", block, re.M)]
    return wrong


def main(checkov):
    wrong = wrong_templates(checkov) + wrong_workflows(checkov) + wrong_trust() + wrong_commands()
    if wrong:
        sys.exit("\n".join(f"configuration: {line}" for line in wrong))


if __name__ == "__main__":
    main(sys.argv[1])
