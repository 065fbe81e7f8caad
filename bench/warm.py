"""Reviews a second that are answered from memory, over TLS keep-alive, beside the trivial app."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from environment import need, pod_review
from servers import trivial, webhook

if TYPE_CHECKING:
    from environment import Registry, Signer
    from servers import Server

ROUNDS = 3
SECONDS = 5
CONNECTIONS = 32


def measure(folder: Path, registry: Registry, signer: Signer) -> dict[str, dict[str, float]]:
    """Return for each contestant reviews a second, p50 and p99 in ms: medians of alternating rounds."""
    digests = [signer.push_signed("warm/app", f"v{number}") for number in range(3)]
    bodies = {
        "by tag": pod_review([f"{registry.host}/warm/app:v{number}" for number in range(3)]),
        "by digest": pod_review([f"{registry.host}/warm/app@{digest}" for digest in digests]),
    }
    for name, body in bodies.items():
        (folder / f"{name}.json").write_bytes(body)
    results: dict[str, list[dict[str, float]]] = {}
    with webhook(folder, registry.host) as ours, trivial(folder) as ceiling:
        for _ in range(ROUNDS):
            for name in bodies:
                results.setdefault(name, []).append(_load(ours, folder / f"{name}.json"))
            results.setdefault("trivial Flask app", []).append(_load(ceiling, folder / "by tag.json"))
    return {name: _median(rounds) for name, rounds in results.items()}


def _load(server: Server, body: Path) -> dict[str, float]:
    wrk = need("wrk", "wrk")
    script = Path(__file__).with_name("load.lua")
    command = [
        wrk,
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}s",
        "--latency",
        "-s",
        str(script),
        f"{server.url}/validate",
    ]
    output = subprocess.run([*command, "--", str(body)], check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    if result["refused"] or result["errors"]:
        raise SystemExit(f"not every review was admitted: {result}")
    return result


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in rounds) for key in ("rate", "p50_ms", "p99_ms")}
