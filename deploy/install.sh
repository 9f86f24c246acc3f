#!/bin/sh
# Installs cytostream from this checkout into a virtual environment of its own: the container, a machine with systemd and CI use the same
# steps. With deploy/requirements.lock (make lock) only packages of those digests are installed.
#   deploy/install.sh /opt/cytostream [EXTRAS]
set -eu
prefix=${1:?"usage: deploy/install.sh PREFIX [EXTRAS]"}
extras=${2:-exports,lis,metrics,oidc}
here=$(cd "$(dirname "$0")/.." && pwd)
"${PYTHON:-python3}" -m venv "$prefix"
pip="$prefix/bin/python -m pip install --quiet --disable-pip-version-check --no-cache-dir"
if [ -f "$here/deploy/requirements.lock" ]; then
    $pip --no-deps --require-hashes -r "$here/deploy/requirements.lock"
    $pip --no-deps --no-build-isolation "$here" # setuptools is one of the packages above
else
    $pip "$here[$extras]"
fi
"$prefix/bin/cytostream" --version
