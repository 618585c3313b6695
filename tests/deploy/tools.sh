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
# `build` makes them by cargo-lambda, as they are deployed. `build_debug DIR` lays them out in the
# same way out of what the tests have built: cargo-lambda names a target, which compiles every crate
# once more.
functions=(preflight api ingest evaluate reset notify)
packages=("${functions[@]/#/--package=}")
build() { PATH="$tools/bin:$PATH" cargo lambda build --locked "${packages[@]}" "$@"; }
build_debug() {
    cargo build --locked --workspace --bins
    local function
    for function in "${functions[@]}"; do
        mkdir -p "$1/$function"
        cp -f "${CARGO_TARGET_DIR:-target}/debug/$function" "$1/$function/bootstrap"
    done
}
# The SAM command line: of $SAM, of the PATH, or the one that the gate keeps.
sam_command() { echo "${SAM:-$(command -v sam || echo "${XDG_CACHE_HOME:-$HOME/.cache}/toktra-template-tools/bin/sam")}"; }
