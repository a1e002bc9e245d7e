"""Checks the documents: every relative link leads somewhere, and every figure's command is a command there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"`make ([a-z]+)")
ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Print every broken link or unknown make target and return 1 if there is one."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [
        *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    broken = [line for page in pages if page.is_file() for line in _broken(page, targets)]
    print("\n".join(broken) or f"documents: {len(pages)} pages are fine")
    return 1 if broken else 0


def _broken(page: Path, targets: set[str]) -> list[str]:
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT)
    found = []
    for link in LINK.findall(text):
        path = link.partition("#")[0]
        if path and "://" not in path and not path.startswith("mailto:") and not (page.parent / path).exists():
            found.append(f"{name}: the link {link} leads nowhere")
    found.extend(f"{name}: there is no `make {target}`" for target in MAKE.findall(text) if target not in targets)
    return found


if __name__ == "__main__":
    sys.exit(main())
