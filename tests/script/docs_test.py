"""Every command that docs/authorization.md prints answers what stands below it.

usage: TALLYD=path/to/tallyd docs_test.py
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands(page):
    """(command, output) of every fenced block without a language; a here-document belongs to its command."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.S | re.M):
        if language:
            continue
        lines, command, output, until = block.splitlines(), None, [], None
        for line in lines:
            if until:
                command += "\n" + line
                until = None if line == until else until
            elif line.startswith("$ "):
                if command:
                    yield command, output
                command, output = line[2:], []
                here = re.search(r"<<'(\w+)'", line)
                until = here and here.group(1)
            else:
                output.append(line)
        if command:
            yield command, output


class AuthorizationPage(unittest.TestCase):
    @unittest.skipUnless(shutil.which("jq"), "the page uses jq")
    def test_every_command_answers_as_printed(self):
        tallyd = pathlib.Path(os.environ["TALLYD"]).resolve()
        ran = 0
        with tempfile.TemporaryDirectory() as directory:
            for command, output in commands((ROOT / "docs" / "authorization.md").read_text(encoding="utf-8")):
                if shown := re.fullmatch(r"cat (\S+)", command):
                    pathlib.Path(directory, shown.group(1)).write_text("\n".join(output) + "\n", encoding="utf-8")
                    continue
                done = subprocess.run(
                    ["bash", "-c", command], cwd=directory, capture_output=True, text=True, timeout=60,
                    env=os.environ | {"PATH": f"{tallyd.parent}:{os.environ['PATH']}"})
                self.assertEqual((done.stdout + done.stderr).splitlines(), output, command)
                self.assertEqual(done.returncode, 0, command)
                ran += 1
        self.assertGreaterEqual(ran, 6)


if __name__ == "__main__":
    unittest.main()
