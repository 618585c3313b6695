# Sourced: the SAM command line and cfn-lint, of pinned versions, kept between runs if there is a
# place for them.
sam_tools="${XDG_CACHE_HOME:-$HOME/.cache}/toktra-template-tools"
sam="$sam_tools/bin/sam"
if ! "$sam" --version >/dev/null 2>&1 || ! "$sam_tools/bin/cfn-lint" --version >/dev/null 2>&1; then
    rm -rf "$sam_tools"
    python3 -m venv "$sam_tools"
    "$sam_tools/bin/pip" install --quiet --disable-pip-version-check aws-sam-cli==1.170.0 cfn-lint==1.58.0
fi
export SAM_CLI_TELEMETRY=0
