"""``make screenshots``: the README's pictures, from those that the browser tests have taken, with a palette of 256."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

TAKEN, SHOWN = Path("build/screenshots"), Path("docs/images")
PICTURES = {
    "home": "home-1280-light",
    "sign-in": "sign-in-1280-light",
    "todos": "todos-1280-light",
    "account": "account-1280-light",
    "docs": "docs-1280-light",
    "todos-dark": "todos-1280-dark",
    "todos-phone": "todos-360-light",
}
TALLEST = 1.1  # times the width of a wide picture: enough to see the page, and no scroll of its own in the README
LARGEST = 120 * 1024


def main() -> int:
    """Write each picture; exit status 1 where one is too large to be shown."""
    SHOWN.mkdir(parents=True, exist_ok=True)
    too_large = []
    for name, source in PICTURES.items():
        path = SHOWN / f"{name}.png"
        with Image.open(TAKEN / f"{source}.png") as picture:
            wide = picture.width >= picture.height or "1280" in source
            height = min(picture.height, int(picture.width * TALLEST)) if wide else picture.height
            cropped = picture.convert("RGB").crop((0, 0, picture.width, height))
            cropped.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size // 1024} KiB")
        if path.stat().st_size > LARGEST:
            too_large.append(path)
    for path in too_large:
        print(f"{path} is larger than {LARGEST // 1024} KiB. Cure: show less on it", file=sys.stderr)
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
