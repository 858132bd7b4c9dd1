#!/usr/bin/env python3
"""Records what goss v0.4.10 makes of cases.txt: record.py GOSS > recorded.json

A case is `=== name`, the text of goss.yaml, and further files behind `--- path`. Recorded is whether goss
validates it (anything but exit 78) and, if so, what `goss render` prints.
    GOBIN=... go install github.com/goss-org/goss/cmd/goss@v0.4.10
"""
import json, os, re, subprocess, sys, tempfile

goss = os.path.abspath(sys.argv[1])
here = os.path.dirname(os.path.abspath(__file__))
cases = re.split(r"^=== (.*)\n", open(os.path.join(here, "cases.txt")).read(), flags=re.M)[1:]
recorded = {}
for name, text in zip(cases[::2], cases[1::2]):
    with tempfile.TemporaryDirectory() as directory:
        files = re.split(r"^--- (.*)\n", text, flags=re.M)
        for path, content in [("goss.yaml", files[0]), *zip(files[1::2], files[2::2])]:
            path = os.path.join(directory, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").write(content)
        run = lambda *args: subprocess.run([goss, "-g", "goss.yaml", *args], cwd=directory, capture_output=True, text=True)
        code = run("validate").returncode
        assert code in (0, 1, 78), (name, code)
        recorded[name] = None if code == 78 else run("render").stdout
json.dump(recorded, sys.stdout, indent=1)
print()
