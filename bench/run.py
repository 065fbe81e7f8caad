"""Measures what the documentation claims, and says where the floors are missed.

    make bench                                       everything, in less than 15 minutes
    .venv/bin/python bench/run.py warm cold          some parts
    make bench BENCH="--docs docs"                   everything, and writes table and charts of the documentation
    .venv/bin/python bench/run.py warm --key key.pem --port 5001 --peer NAME=https://127.0.0.1:9443/validate

The last one sends the reviews to another webhook too. It must trust the public key of `--key` (ECDSA P-256) for the
images of the registry in memory at that port, which speaks plain HTTP.

Needs docker-registry and wrk (Debian packages of these names); nginx is measured where it is installed. Nothing else
should run meanwhile. The results are written to bench/results as JSON; the exit code is 1 if a floor is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import charts
import cold
import cold_cost
import curves
import drain
import events
import formats
import keyless
import matching
import memory
import objects
import outages
import replicas
import signing
import warm
from environment import Signer, chart_memory_mib, docker_registry, public_pem, read_key, write_key, write_policies
from load import PLACEHOLDER, load, write_images, write_review
from memory_registry import memory_registry
from rows import Row, document_rows, print_table, write_results
from servers import make_certificate, webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from environment import Registry
    from memory_registry import MemoryRegistry

RESULTS = Path(__file__).with_name("results") / "latest.json"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the parts need.

    Attributes:
        folder: for files of the processes.
        key: PEM file of the private key that signs images.
        port: of the registry in memory; None for a free one.
        peers: URLs of other webhooks by name.
        curves: filled by the parts: points by name of the curve, for JSON and charts.
    """

    folder: Path
    key: Path
    port: int | None
    peers: Mapping[str, str]
    curves: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def registry(self, images: int, policies: int = 1) -> Iterator[MemoryRegistry]:
        """Run a registry in memory, with policies that cover its images."""
        with memory_registry(self.folder, images, self.key, self.port) as registry:
            write_policies(self.folder, registry.pem, registry.host, policies)
            yield registry

    @contextlib.contextmanager
    def docker_registry(self) -> Iterator[Registry]:
        """Run docker-registry, with a policy that covers its images."""
        with docker_registry(self.folder) as registry:
            write_policies(self.folder, public_pem(read_key(self.key)), registry.host)
            yield registry


def main() -> int:
    """Measure, print, and return 1 if a floor was missed."""
    options = _options()
    print(f"Python {platform.python_version()}, {sys.executable}; {_optimized()}", file=sys.stderr)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificate(folder)
        key = options.key or write_key(folder / "key.pem")
        bench = Bench(folder, key, options.port, dict(peer.split("=", 1) for peer in options.peer))
        rows = []
        for part in options.parts or PARTS:
            rows += _measure(part, bench)
    print_table(rows)
    write_results(options.results, rows, bench.curves, time.monotonic() - began)
    if options.docs:
        charts.write_charts(options.docs / "plots", bench.curves)
        document_rows(options.docs / "performance.md", rows)
    return 0 if all(row.good for row in rows) else 1


def _optimized() -> str:
    """Return whether Python says that it was built with optimizations of its own, as the images' Python is."""
    chosen = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "configured with --enable-optimizations" if chosen else "not configured with --enable-optimizations"


def _measure(part: str, bench: Bench) -> list[Row]:
    """Return the rows of a part; a part that fails is a row too, so that the others are measured."""
    print(f"measuring: {part}", file=sys.stderr)
    began = time.monotonic()
    rows: list[Row] = []
    try:
        rows += PARTS[part](bench)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is shown, and a floor is missed
        traceback.print_exception(error)
        rows.append(Row(f"{part}: failed", 1, "", most=0))
    print(f"measured: {part}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL", help="another webhook to measure")
    parser.add_argument("--key", type=Path, help="PEM file of the ECDSA P-256 private key that signs the images")
    parser.add_argument("--port", type=int, help="port of the registry in memory")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the results")
    parser.add_argument("--docs", type=Path, help="folder of the documentation, whose table and charts are written")
    return parser.parse_args()


def _warm(bench: Bench) -> Iterator[Row]:
    with bench.registry(3) as registry:
        measured = warm.measure(bench.folder, registry, bench.peers)
    for name, rounds in measured.items():
        ours = name in warm.OURS
        what = f"warm review of 3 images, {name}"
        if ours:
            yield Row(f"{what}: in the trivial app's", warm.ratio(measured, name, warm.TRIVIAL), "x", least=1.8, aim=3)
        if ours and warm.LIMIT in measured:
            yield Row(f"{what}: in nginx's", warm.ratio(measured, name, warm.LIMIT), "x")
        yield Row(what, median(one.rate for one in rounds), "reviews/s")
        cpu = median(one.cpu_ms for one in rounds)
        yield Row(f"{what}: CPU", cpu, "ms", aim=0.2 if ours else None)
        yield Row(f"{what}: p50 at {warm.CONNECTIONS} parallel", median(one.p50_ms for one in rounds), "ms")
        tail = median(one.p99_ms / one.p50_ms for one in rounds)
        yield Row(f"{what}: p99 in p50", tail, "x", most=3 if ours else None, aim=2 if ours else None)


def _cold(bench: Bench) -> Iterator[Row]:
    with bench.registry(cold_cost.needed_images()) as registry:
        measured, verifications = cold_cost.measure(bench.folder, registry)
    for name, (most, aim, requests) in {"by digest": (1.6, 1.0, 2), "by tag": (2.0, 1.3, 3)}.items():
        one = measured[name]
        yield Row(f"cold image, {name}: CPU", one.cpu_ms, "ms", most=most, aim=aim)
        yield Row(f"cold image, {name}: requests", one.gets + one.heads, "an image", most=requests, aim=requests)
        yield Row(f"cold image, {name}: at {cold_cost.CONNECTIONS} parallel", one.per_second, "images/s")
    yield Row("cold image, by tag: HEAD requests", measured["by tag"].heads, "an image", least=1, aim=1)
    yield Row(f"{cold_cost.PODS} pods of one new image", verifications, "verifications", most=1, aim=1)


def _curves(bench: Bench) -> Iterator[Row]:
    with bench.registry(curves.needed_images()) as registry:
        for name, curve in (("warm", curves.warm), ("cold", curves.cold)):
            points = curve(bench.folder, registry)
            bench.curves[name] = curves.as_objects(points)
            most = max(point.answered for point in points)
            yield Row(f"{name} curve: the most that is answered", most, "reviews/s")
            yield Row(f"{name} curve: not admitted", sum(point.refused for point in points), "reviews", most=0)
            yield Row(f"{name} curve: at {curves.STEPS[-1]:g} times that load", points[-1].answered / most, "x")


def _memory(bench: Bench) -> Iterator[Row]:
    with bench.registry(1_001, policies=500) as registry, webhook(bench.folder, registry.host) as server:
        yield Row("start to ready, 500 policies", server.seconds, "s", most=5)
        body = write_review(bench.folder / "memory.json", [PLACEHOLDER])
        images = write_images(bench.folder / "images", [registry.image(n, by_tag=False) for n in range(1_001)])
        load(server, body, connections=32, seconds=60, images=images).require_admitted("1,000 reviews")
        rest = server.proportional_mib()
    yield Row("memory (PSS), 500 policies, 1,000 reviews", rest, "MiB", most=90, aim=75)
    cached = memory.measure()
    more = rest + cached["filled_mib"] - cached["rest_mib"]
    yield Row("memory (PSS), and 100,000 subjects", more, "MiB", most=150, aim=120)


def _outages(bench: Bench) -> Iterator[Row]:
    with bench.registry(outages.needed_images(), policies=500) as registry:
        measured, peak = outages.measure(bench.folder, registry)
    for name, one in measured.items():
        yield Row(f"reviews during {name}: of a known image, p99", one.known.p99_ms, "ms")
        yield Row("the same, of new images", one.new.p99_ms, "ms")
    cached = memory.measure()
    most = peak + cached["filled_mib"] - cached["rest_mib"]
    what = "the worst bodies, 2,000 reviews at 200 parallel, 100,000 subjects"
    yield Row(f"memory at its most: {what}", most, "MiB", most=chart_memory_mib())


def _matching(bench: Bench) -> Iterator[Row]:
    measured = {count: matching.measure(count) for count in matching.COUNTS}
    bench.curves["matching"] = [{"policies": count, **one} for count, one in measured.items()]
    most = matching.COUNTS[-1]
    yield Row(f"match 1 image against {most:,} policies, p50", measured[most]["match_p50_ms"], "ms", most=5)
    yield Row("the same, p99", measured[most]["match_p99_ms"], "ms", most=5)
    yield Row(f"compile {most:,} policies", measured[most]["compile_ms"] / 1e3, "s")


def _objects(_: Bench) -> Iterator[Row]:
    dearest, milliseconds = max(objects.measure().items(), key=lambda measured: measured[1])
    yield Row(f"dearest policy object that is accepted ({dearest}), CPU", milliseconds, "ms", aim=50)


def _drain(bench: Bench) -> Iterator[Row]:
    measured = drain.measure()
    bench.curves["drain"] = [
        {"per_minute": budget, "tags": tags, "seconds": seconds, "implied_seconds": drain.implied(tags, budget)}
        for budget, one in measured.items()
        for tags, seconds in one.items()
    ]
    for tags, seconds in measured[300].items():
        yield Row(f"{tags:,} new tags at 300 a minute, virtual clock", seconds / 60, "min")
        yield Row("the same, as the budget alone implies", drain.implied(tags, 300) / 60, "min")


def _replicas(bench: Bench) -> Iterator[Row]:
    if not any(map(shutil.which, ("valkey-server", "redis-server"))):
        print("neither valkey-server nor redis-server is installed: replicas are not measured", file=sys.stderr)
        return
    bench.curves["replicas"] = measured = list(replicas.measure_all())
    for one in measured:
        what = f"rollout over {one['replicas']} replicas, {'shared cache' if one['shared'] else 'alone'}"
        yield Row(f"{what}: requests", float(one["registry_requests"]), "requests")
        yield Row(f"{what}: answered from memory", float(one["answered_from_memory_percent"]), "%")
        yield Row(f"{what}: p50", float(one["p50_ms"]), "ms")
        yield Row(f"{what}: p99", float(one["p99_ms"]), "ms")


def _registry(bench: Bench) -> Iterator[Row]:
    with bench.docker_registry() as registry:
        for name, one in cold.measure(bench.folder, registry, Signer(registry, bench.key)).items():
            yield Row(f"cold, docker-registry, {name}", one["images_per_minute"], "images/min", least=6000)
            yield Row(f"cold, docker-registry, {name}: requests", one["requests_per_image"], "an image", most=4)


def _formats(_: Bench) -> Iterator[Row]:
    for name, (first, again) in formats.measure().items():
        yield Row(f"one verification, {name}", first, "ms")
        yield Row("the same, from memory", again * 1e3, "us")
    keyless_costs = keyless.measure()
    yield Row("memory (RSS) that keyless signatures add at rest", keyless_costs["more_mib"], "MiB", most=8)
    yield Row("CPU of one keyless signature, Rekor 1", keyless_costs["rekor1_ms"], "ms")
    yield Row("the same, Rekor 2 with a timestamp", keyless_costs["rekor2_ms"], "ms")


def _signing(_: Bench) -> Iterator[Row]:
    for name, cost in signing.measure().items():
        yield Row(f"signing, {name}", cost.per_minute, "images/min", least=300)
        yield Row("the same, in raw signatures", cost.in_signatures, "signatures")
        yield Row("the same, in plain requests", cost.in_requests, "requests", most=cost.requests * 12)


def _events(bench: Bench) -> Iterator[Row]:
    measured = events.measure(bench.folder)
    what = f"push events, {events.RATE} a second, {events.WAITING:,} requests wait"
    yield Row(f"{what}: p50", measured["p50_ms"], "ms")
    yield Row(f"{what}: p99", measured["p99_ms"], "ms", most=100)
    yield Row(f"{what}: refused", measured["refused"], "events", most=0)


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "warm": _warm,
    "cold": _cold,
    "curves": _curves,
    "memory": _memory,
    "outages": _outages,
    "matching": _matching,
    "objects": _objects,
    "drain": _drain,
    "replicas": _replicas,
    "registry": _registry,
    "formats": _formats,
    "signing": _signing,
    "events": _events,
}


if __name__ == "__main__":
    sys.exit(main())
