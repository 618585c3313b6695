# Sourced by the scripts here: what they need, of pinned versions, kept between runs if there is a
# place for it.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/toktra-deploy-tools"
if ! cmp -s tests/deploy/requirements.txt "$tools/requirements.txt"; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check -r tests/deploy/requirements.txt
    cp tests/deploy/requirements.txt "$tools/requirements.txt"
fi
# The functions for this machine's processor: the template's arm64 cannot be executed elsewhere.
functions=(preflight api ingest evaluate reset notify)
packages=("${functions[@]/#/--package=}")
build() { PATH="$tools/bin:$PATH" cargo lambda build --locked "${packages[@]}" "$@"; }
# The SAM command line: of $SAM, of the PATH, or the one that the gate keeps.
sam_command() { echo "${SAM:-$(command -v sam || echo "${XDG_CACHE_HOME:-$HOME/.cache}/toktra-template-tools/bin/sam")}"; }
