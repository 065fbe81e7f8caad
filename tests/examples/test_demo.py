from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.real_tools.required import require_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples/demo"
STORIES = [
    ("a Pod whose image the release key signed", "allowed"),
    ("a Pod whose image is not signed", "denied"),
    ("a Pod whose image a stranger signed", "denied"),
    ("a Pod whose image carries the good signature of another image", "denied"),
    ("a Deployment of a signed image with one unsigned init container", "denied"),
]


def run(demo: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(demo / "demo.py"), *args]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=150)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Return a copy of the demo that a test may change."""
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return Path(shutil.copytree(DEMO, tmp_path / "examples/demo"))


def test_every_demo_review_has_the_expected_outcome() -> None:
    done = run(DEMO)
    assert done.returncode == 0, done.stdout + done.stderr
    for number, (story, answer) in enumerate(STORIES, start=1):
        shown = rf"{number}\. {story}\n   expected   {answer}\n   answer     {answer}\n"
        assert re.search(shown, done.stdout), done.stdout
    assert done.stdout.count("as it should be") == len(STORIES)
    assert done.stdout.endswith("5 of 5 reviews came out right\n")
    assert done.stderr == ""


def test_unexpected_outcome_fails_the_demo(changed: Path) -> None:
    policy = changed / "policies/demo-images.yaml"
    policy.write_text(policy.read_text().replace("Enforce", "Warn"))
    done = run(changed)
    assert done.returncode == 1
    assert "NOT as it should be" in done.stdout
    assert done.stdout.endswith("1 of 5 reviews came out right\n")


def test_denial_for_another_reason_fails_the_demo(changed: Path) -> None:
    key = changed / "policies/release-key.yaml"
    stranger = (ROOT / "tests/data/cosign/keys/p256.pub").read_text().replace("\n", "\n          ")
    text = re.sub(r"-----BEGIN.*-----END PUBLIC KEY-----", stranger.strip(), key.read_text(), flags=re.DOTALL)
    key.write_text(text)
    done = run(changed)
    assert done.returncode == 1
    assert "2 of 5 reviews came out right" in done.stdout  # unsigned, and signed by a stranger


def test_webhook_start_failure_is_shown(changed: Path) -> None:
    (changed / "policies/demo-images.yaml").write_text("kind: VerificationPolicy\n")
    done = run(changed)
    assert done.returncode == 2
    assert "The demo could not run" in done.stdout
    assert "demo-images.yaml" in done.stdout
    assert done.stderr == ""


def test_the_demo_trusts_the_key_that_signed_its_images() -> None:
    key = (ROOT / "tests/data/cosign/keys/release.pub").read_text()
    policy = (DEMO / "policies/release-key.yaml").read_text()
    assert "".join(key.split()) in "".join(policy.split()), "paste the new tests/data/cosign/keys/release.pub in there"


def read_up_to(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if last in line:
            return lines
    pytest.fail(f"the demo ended: {lines}")


@pytest.mark.real
def test_printed_serve_command_works_verbatim() -> None:
    require_tool("curl")
    command = [sys.executable, str(DEMO / "demo.py"), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            lines = read_up_to(process, "Ctrl-C ends it")
            posts = [line.strip() for line in lines if line.startswith("  curl ")]
            answers = [json.loads(run_line(post))["response"]["allowed"] for post in posts]
            assert answers == [answer == "allowed" for _, answer in STORIES]
            (verify,) = [line.strip() for line in lines if " verify " in line]
            done = subprocess.run(shlex.split(verify), capture_output=True, check=False, cwd=ROOT)
            assert done.returncode in (0, 1)
            log = read_up_to(process, "Deployment shop/shop: ")
            assert sum(line.startswith("denied") for line in log) == 4
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def run_line(line: str) -> bytes:
    arguments: Sequence[str] = shlex.split(line)
    return subprocess.run([*arguments, "--silent", "--fail"], capture_output=True, check=True, timeout=150).stdout


def test_demo_leaves_no_files() -> None:
    command = [sys.executable, str(DEMO / "demo.py"), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        lines = read_up_to(process, "Ctrl-C ends it")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    (post, *_) = [line for line in lines if line.startswith("  curl ")]
    assert not os.path.lexists(shlex.split(post)[2])


def test_readme_picture_matches_the_demo_output(tmp_path: Path) -> None:
    script = (
        (ROOT / "scripts/draw_demo.py")
        .read_text()
        .replace('ROOT / "docs" / "demo.svg"', f"Path({str(tmp_path)!r}, 'drawn.svg')")
    )
    (tmp_path / "draw.py").write_text(script.replace("Path(__file__).resolve().parent.parent", f"Path({str(ROOT)!r})"))
    subprocess.run([sys.executable, str(tmp_path / "draw.py")], check=True, timeout=150)
    assert (tmp_path / "drawn.svg").read_text() == (ROOT / "docs/demo.svg").read_text(), "draw it again: make picture"
