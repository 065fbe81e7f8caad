"""Measures what takes long: `sealgate sign --all` over 100,000 tags, with one interruption.

    make bench-long
    .venv/bin/python bench/long.py 1000          # fewer tags

The registry is a simulator in this process. The command runs in a process of its own, as a user starts it: it is sent
Ctrl-C when half of the tags are signed, and started again. Signatures are referrers: of those under a tag a run takes
640 a minute at most, because 32 are under way, and each is checked once more after 3 seconds. Nothing else should run
meanwhile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.environments.signing_policies import signing_policy
from tests.support.simulators.registry import RegistrySimulator

from sealgate.keys.generation import KeyType, generate_key, write_private_key

TAGS = 100_000
#: Each with so few images that the simulator's search for referrers does not count.
REPOSITORIES = 1000
#: The most that a SigningPolicy allows.
PER_MINUTE = 30_000
_POLL = 0.2
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LongRun:
    """What one process took.

    Attributes:
        seconds: until it ended.
        mebibytes: the most memory that it had.
        code: its exit code.
        signed: images that it has signed.
    """

    seconds: float
    mebibytes: float
    code: int
    signed: int


def main(tags: int) -> int:
    """Measure, print, and return 1 if a tag was not signed exactly once."""
    with tempfile.TemporaryDirectory() as name, RegistrySimulator() as registry:
        folder = Path(name)
        push_images(registry, tags)
        write_policy(folder, registry)
        first = run(folder, registry, stop_at=tags // 2)
        second = run(folder, registry)
        missing = tags - signatures(registry)
    for what, one in (("until it was interrupted", first), ("from there to the end", second)):
        rate = one.signed / one.seconds * 60
        print(f"{what}: {one.signed:,} tags in {one.seconds:,.0f} s, {rate:,.0f} a minute, {one.mebibytes:.0f} MiB")
    print(f"tags without a signature: {missing}; signed in both runs: {first.signed + second.signed - tags}")
    good = (first.code, second.code, missing, first.signed + second.signed) == (_INTERRUPTED, 0, 0, tags)
    return 0 if good else 1


def push_images(registry: RegistrySimulator, tags: int) -> None:
    """Push an image for each tag, spread over the repositories."""
    for number in range(tags):
        registry.push_image(f"bench/{number % REPOSITORIES}", f"v{number}")


def write_policy(folder: Path, registry: RegistrySimulator) -> None:
    """Write a SigningPolicy for all of them, and its key."""
    images = [{"repository": f"{registry.host}/bench/*"}]
    key = write_private_key(generate_key(KeyType.ECDSA_P256), None).decode()
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "release"},
        "stringData": {"key.pem": key},
    }
    (folder / "policies").mkdir()
    objects = (signing_policy(images=images, tagsPerMinute=PER_MINUTE, cosign={"storage": "Referrers"}), secret)
    (folder / "policies" / "release.yaml").write_text(yaml.safe_dump_all(objects))


def run(folder: Path, registry: RegistrySimulator, stop_at: int | None = None) -> LongRun:
    """Run the command to its end, or until so many tags are signed."""
    before, began, peak = signatures(registry), time.monotonic(), 0.0
    program = Path(sys.executable).with_name("sealgate")
    arguments = ["--all", "--policy", "release", "--policies", str(folder / "policies"), "--output", "json"]
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    with (folder / "results.json").open("w") as output:
        command = [str(program), "sign", *arguments, "--insecure-registry", registry.host]
        process = subprocess.Popen(command, env=environment, stdout=output)
        while process.poll() is None:
            peak = max(peak, _peak_mib(process.pid))
            registry.requests.clear()
            if stop_at is not None and signatures(registry) >= stop_at:
                process.send_signal(signal.SIGINT)
                stop_at = None
            time.sleep(_POLL)
    return LongRun(time.monotonic() - began, peak, process.returncode, signatures(registry) - before)


def signatures(registry: RegistrySimulator) -> int:
    """Return how many signatures the registry has."""
    with registry.lock:
        return sum(len(stored.manifests) - len(stored.tags) for stored in registry.repositories.values())


def _peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return int(peak) / 1024


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else TAGS))
