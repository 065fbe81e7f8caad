"""`sealgate` as a module, for processes that are forked: what its entry point does."""

from __future__ import annotations

from sealgate.cli import main

if __name__ == "__main__":
    main()
