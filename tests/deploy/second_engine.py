"""Runs a command while the emulator's DynamoDB answers the suites: run by tests/deploy/second_engine."""

import os
import subprocess
import sys

from emulator import Emulator

with Emulator() as emulator:
    environment = os.environ | {"TOKTRA_DYNAMODB_ENDPOINT": emulator.url}
    raise SystemExit(subprocess.run(sys.argv[1:], env=environment).returncode)
