#!/usr/bin/env bash
# Ctrl-C while PyAV reads from a Python file object (PyAV 18.1.0).
#
# Guess: an exception that the file's read() raises comes out of the call that decodes, whatever its class.
# Seen: a ValueError does. A KeyboardInterrupt, as anything that is no Exception, is printed as ignored and lost:
# what comes out is an ArgumentError, as if the file were damaged.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import io
import wave

import av

RATE, SECONDS = 8_000, 60


class Interrupted(io.BytesIO):
    """A file in which something is raised once a half of it is read."""

    def __init__(self, content, error):
        super().__init__(content)
        self._half, self._error = len(content) // 2, error

    def read(self, size=-1):
        if self.tell() >= self._half and self._error is not None:
            error, self._error = self._error, None
            raise error
        return super().read(size)


def outcome(error):
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(bytes(2 * RATE * SECONDS))
    try:
        with av.open(Interrupted(content.getvalue(), error)) as container:
            seconds = sum(frame.samples for frame in container.decode(audio=0)) / RATE
    except BaseException as raised:
        return type(raised).__name__
    return f"{seconds:.0f} s"


told = [outcome(error) for error in (None, ValueError(), KeyboardInterrupt())]
print("without an error, with a ValueError, with a KeyboardInterrupt:", ", ".join(told))
assert told[:2] == ["60 s", "ValueError"], told
assert told[2] == "ArgumentError", told
PYTHON
