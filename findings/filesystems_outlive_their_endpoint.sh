#!/usr/bin/env bash
# Opening an S3 filesystem by fsspec 2026.9.0 and s3fs 2026.9.0, where AWS_ENDPOINT_URL says which server is meant.
#
# Guess: filesystem("s3") reads the environment, so that after AWS_ENDPOINT_URL has changed it leads to the other server.
# Seen: fsspec keeps filesystems by their arguments, and what the environment says is none. The second call gives
# the first one's object, which asks the first server, even one that is gone; only skip_instance_cache=True, or
# clear_instance_cache(), makes one that reads the environment again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check fsspec==2026.9.0 s3fs==2026.9.0
AWS_ACCESS_KEY_ID=who AWS_SECRET_ACCESS_KEY=secret AWS_DEFAULT_REGION=us-east-1 "$folder/venv/bin/python" - <<'PYTHON'
import os

import fsspec


def filesystem(endpoint, **options):
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    found = fsspec.filesystem("s3", **options)
    found.connect()
    return found, found.s3.meta.endpoint_url


first, leads_to = filesystem("http://127.0.0.1:9001")
again, still = filesystem("http://127.0.0.1:9002")
_, anew = filesystem("http://127.0.0.1:9003", skip_instance_cache=True)
print(f"the first leads to {leads_to}, the second to {still}, one without the cache to {anew}")
assert again is first
assert (leads_to, still, anew) == ("http://127.0.0.1:9001", "http://127.0.0.1:9001", "http://127.0.0.1:9003")
PYTHON
