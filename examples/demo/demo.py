"""sealgate's main job on this machine alone: a registry, the webhook, five reviews.

    python examples/demo/demo.py            submit the reviews and exit, 0 if each came out right
    python examples/demo/demo.py --serve    keep both up and say how to post to them

The images and their signatures are an OCI image layout that the real cosign made (`tests/data/cosign/layout`); the
webhook is the real one, `sealgate serve`, with the policies beside this file.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry import LayoutRegistry
from rich.console import Console
from rich.text import Text
from webhook import SEALGATE, Webhook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAYOUT = ROOT / "tests/data/cosign/layout"
POLICIES = HERE / "policies"
REVIEWS = HERE / "reviews"
#: What the reviews say where the registry's address belongs.
PLACEHOLDER = "REGISTRY"
VERIFIED = "Verified"
#: The audit annotation that names the decision; the others are about one container each.
DECISION = "decision_id"
#: How far what is said about a review is indented, its label included.
LABEL_WIDTH = 14

console = Console(
    width=None if sys.stdout.isatty() else 120,
    highlight=False,
    markup=False,
    emoji=False,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One review and what has to come of it.

    Attributes:
        review: name of the file.
        story: what is submitted.
        expected: each container's reason, as the answer's audit annotations have it; allowed if all are verified.
    """

    review: str
    story: str
    expected: Mapping[str, str]

    @property
    def allowed(self) -> bool:
        """Whether it has to be allowed."""
        return all(reason == VERIFIED for reason in self.expected.values())


CASES = (
    Case("1-signed", "a Pod whose image the release key signed", {"container.app": VERIFIED}),
    Case("2-unsigned", "a Pod whose image is not signed", {"container.app": "NoSignature"}),
    Case("3-signed-by-a-stranger", "a Pod whose image a stranger signed", {"container.app": "InvalidSignature"}),
    Case(
        "4-signature-of-another-image",
        "a Pod whose image carries the good signature of another image",
        {"container.app": "DigestMismatch"},
    ),
    Case(
        "5-one-bad-init-container",
        "a Deployment of a signed image with one unsigned init container",
        {"init.migrate": "NoSignature", "container.app": VERIFIED},
    ),
)


def main() -> int:
    """Run the demo and return the process's exit code."""
    options = argparse.ArgumentParser(description="sealgate's main job on this machine alone")
    options.add_argument("--serve", action="store_true", help="keep registry and webhook up")
    options.add_argument("--listen", default="127.0.0.1:0", help="where the webhook listens (default: a free port)")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, _end)
    try:
        with (
            LayoutRegistry(LAYOUT) as registry,
            Webhook(POLICIES, registry.host, chosen.listen, _show_log if chosen.serve else _ignore) as webhook,
        ):
            _introduce(registry, webhook)
            return _serve(registry, webhook) if chosen.serve else _submit(registry, webhook)
    except RuntimeError as error:
        console.print(Text(f"The demo could not run: {error}", "bold red"))
        return 2
    except KeyboardInterrupt:
        return 0


def review_of(case: Case, registry: str) -> str:
    """Return a review's JSON, with the registry's address in it."""
    return (REVIEWS / f"{case.review}.json").read_text().replace(PLACEHOLDER, registry)


def _submit(registry: LayoutRegistry, webhook: Webhook) -> int:
    right = 0
    for number, case in enumerate(CASES, start=1):
        response = webhook.validate(review_of(case, registry.host))
        good = response["allowed"] is case.allowed and _reasons(response) == dict(case.expected)
        right += good
        _show(number, case, response, good=good)
    style = "bold green" if right == len(CASES) else "bold red"
    console.print(Text(f"{right} of {len(CASES)} reviews came out right", style))
    return 0 if right == len(CASES) else 1


def _reasons(response: Mapping[str, Any]) -> dict[str, str]:
    """Return each container's reason from the audit annotations of an answer; the decision's id is none of them."""
    reasons = {}
    annotations = {key: text for key, text in response.get("auditAnnotations", {}).items() if key != DECISION}
    for container, text in annotations.items():
        what, _, rest = text.partition(": ")
        reasons[container] = rest.partition(": ")[0] if what == "not verified" else VERIFIED
    return reasons


def _show(number: int, case: Case, response: Mapping[str, Any], *, good: bool) -> None:
    console.print(Text(f"{number}. {case.story}", "bold"))
    _show_fact("expected", _answer(case.allowed))
    _show_fact("answer", _answer(response["allowed"]))
    for text in response.get("auditAnnotations", {}).values():
        if "@sha256:" in text:
            _show_fact("verified", Text(text))
    if "status" in response:
        _show_fact("because", Text(response["status"]["message"]))
    _show_fact("", Text("as it should be", "green") if good else Text("NOT as it should be", "bold red"))
    console.print()


def _show_fact(label: str, text: Text) -> None:
    for number, line in enumerate(text.wrap(console, console.width - LABEL_WIDTH)):
        line.rstrip()
        console.print(Text.assemble((f"   {'' if number else label:<{LABEL_WIDTH - 3}}", "dim"), line))


def _answer(allowed: object) -> Text:
    return Text("allowed", "green") if allowed else Text("denied", "red")


def _introduce(registry: LayoutRegistry, webhook: Webhook) -> None:
    console.print(Text.assemble(("registry  ", "dim"), f"http://{registry.host}, {len(registry.images)} images"))
    console.print(Text.assemble(("webhook   ", "dim"), f"{webhook.url}, policies in {_shown(POLICIES)}"))
    console.print()


def _serve(registry: LayoutRegistry, webhook: Webhook) -> int:
    with tempfile.TemporaryDirectory(prefix="sealgate-demo-") as folder:
        ca = Path(folder, "ca.pem")
        ca.write_text(webhook.certificate)
        console.print(Text("Post a review:", "bold"))
        for case in CASES:
            path = Path(folder, f"{case.review}.json")
            path.write_text(review_of(case, registry.host))
            console.print(Text(f"  # {case.story}", "dim"))
            _show_command(_curl(ca, path, webhook.url))
        console.print()
        console.print(Text("Or ask on the command line:", "bold"))
        sealgate = f"{_shown(SEALGATE)} verify {registry.images[0]} --policies {_shown(POLICIES)}"
        _show_command(f"{sealgate} --insecure-registry {registry.host}")
        console.print()
        console.print(Text("Change a policy file, and the next review is judged by it. Ctrl-C ends it.", "bold"))
        console.print()
        return webhook.wait()


def _show_command(command: str) -> None:
    console.print(Text(f"  {command}"), soft_wrap=True)  # in one piece, to be copied


def _curl(ca: Path, review: Path, url: str) -> str:
    return f"curl --cacert {ca} -H 'Content-Type: application/json' --data @{review} {url}/validate"


def _shown(path: Path) -> Path:
    """Return a path relative to the current directory, as a user would write it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _show_log(entry: Mapping[str, Any]) -> None:
    images = ", ".join(f"{image['image']} {image['reason']}" for image in entry.get("images", []))
    style = "green" if entry.get("result") == "allowed" else "red"
    name = f"{entry.get('kind')} {entry.get('namespace')}/{entry.get('name')}"
    console.print(Text.assemble((f"{entry.get('result'):<8}", style), f"{name}: {images}"))


def _ignore(_: Mapping[str, Any]) -> None:
    """Show nothing: the answers are shown."""


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that the webhook's process ends too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
