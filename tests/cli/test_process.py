"""Behaviour of the command as a process: signals, closed pipes, terminals, colours."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.running import SEALGATE, start

if TYPE_CHECKING:
    from tests.cli.shop import Shop

ESCAPE = b"\x1b["


def arguments(shop: Shop, *names: str) -> list[str]:
    leave = ("--policies", str(shop.policies), "--insecure-registry", shop.registry.host)
    return ["verify", *map(shop.image, names), *leave]


def test_the_installed_command_answers_like_the_one_under_test(shop: Shop) -> None:
    done = subprocess.run(
        [SEALGATE, *arguments(shop, "signed", "unsigned"), "-o", "json"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert [entry["verdict"] for entry in json.loads(done.stdout)] == ["admit", "deny"]
    assert done.stderr == b""


def test_ctrl_c_ends_a_run_at_once_with_130(shop: Shop) -> None:
    hanging = shop.registry.faults.hang("/shop/")
    with start(*arguments(shop, "signed", "unsigned"), "--timeout", "600") as process:
        assert hanging.hit.wait(150)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(150)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "Interrupted."


def into_a_closed_pipe(*args: str) -> tuple[int, str]:
    with start(*args) as process:
        process.stdout.close()
        return process.wait(150), process.stderr.read()


def test_closed_output_pipe_is_not_a_verdict(shop: Shop) -> None:
    assert into_a_closed_pipe(*arguments(shop, *["signed"] * 3)) == (141, "")
    assert into_a_closed_pipe(*arguments(shop, *["signed"] * 3), "-o", "json") == (141, "")


def test_help_into_a_closed_pipe_is_not_a_denial() -> None:
    assert into_a_closed_pipe("--help") == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_not_a_verdict(shop: Shop) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SEALGATE, *arguments(shop, "signed"), "-o", "json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 3
    assert done.stderr.startswith(b"Error: ")
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_closed_standard_streams_are_no_reason_for_a_trace(shop: Shop) -> None:
    command = '"$0" "$@" <&- >&-'
    args = ["sh", "-c", command, str(SEALGATE), *arguments(shop, "signed")]
    done = subprocess.run(args, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    args = ["sh", "-c", command, str(SEALGATE), "verify", "-f", "-", "--policies", str(shop.policies)]
    done = subprocess.run(args, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"Error: cannot read standard input: it is closed\n"


def on_a_terminal(args: list[str], **env: str) -> tuple[int, bytes]:
    """Run the command with a terminal as its standard output and error, and return what it showed."""
    main, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **env}
    with start(*args, env=environment, terminal=side) as process:
        os.close(side)
        shown = b""
        while select.select([main], [], [], 60)[0]:
            try:
                part = os.read(main, 65536)
            except OSError:  # the other side has closed
                break
            if not part:
                break
            shown += part
        os.close(main)
        return process.wait(150), shown


def test_colours_and_progress_are_for_terminals_only(shop: Shop) -> None:
    names = ["signed", "unsigned", "foreign", "copied", "both"]
    code, shown = on_a_terminal(arguments(shop, *names))
    assert code == 1
    assert ESCAPE + b"1;32m" in shown  # ADMIT in bold green
    assert b"verifying" in shown
    with start(*arguments(shop, *names)) as process:
        written = "".join(process.communicate(150))
    assert ESCAPE.decode() not in written
    assert "verifying" not in written


def test_no_color_is_respected(shop: Shop) -> None:
    _, shown = on_a_terminal(arguments(shop, "signed"), NO_COLOR="1")
    colours = re.findall(rb"\x1b\[(?:[0-9]+;)*3[0-9]", shown)
    assert colours == []
    assert b"ADMIT" in shown


def test_a_few_images_need_no_progress_bar(shop: Shop) -> None:
    _, shown = on_a_terminal(arguments(shop, "signed"))
    assert b"verifying" not in shown


def test_forced_colours_do_not_get_into_a_file(shop: Shop) -> None:
    with start(*arguments(shop, "signed"), env={**os.environ, "FORCE_COLOR": "1"}) as process:
        out, _ = process.communicate(150)
    assert "ADMIT" in out
    assert ESCAPE.decode() not in out


def test_an_ascii_terminal_gets_ascii(shop: Shop) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([SEALGATE, *arguments(shop, "signed")], capture_output=True, check=False, env=env)
    assert done.returncode == 0
    assert done.stdout.decode("ascii").startswith("ADMIT  ")


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    done = subprocess.run([SEALGATE, "--version"], capture_output=True, check=True, text=True)
    assert done.stdout == f"sealgate {version('sealgate')}\n"


def test_command_line_starts_without_unused_packages() -> None:
    code = "import sys; from sealgate.cli.app import cli; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"pydantic", "rich", "urllib3", "cryptography", "flask", "gunicorn"}


def test_completions_are_offered_to_the_shell() -> None:
    env = {**os.environ, "_SEALGATE_COMPLETE": "bash_complete", "COMP_WORDS": "sealgate ver", "COMP_CWORD": "1"}
    done = subprocess.run([SEALGATE], capture_output=True, check=False, env=env, text=True)
    assert done.stdout == "plain,verify\n"


@pytest.mark.parametrize("debug", [True, False])
def test_internal_error_is_reported_and_admits_nothing(shop: Shop, debug: bool) -> None:  # noqa: FBT001 - a parameter
    code = "import sys; sys.modules['sealgate.workloads.images'] = None; from sealgate.cli import main; main()"
    env = {**os.environ, "SEALGATE_DEBUG": "1" if debug else ""}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments(shop, "signed")], capture_output=True, check=False, env=env, text=True
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Error: sealgate failed because of a bug: ModuleNotFoundError" in done.stderr
    assert ("Traceback" in done.stderr) is debug
