"""Pictures of a report for the README: opens report.html in a headless Chromium.

    python scripts/screenshot_report.py RUN/report.html docs/images [--browser chromium]

Writes report-light.png, report-dark.png (the top of the page), mistakes-light.png and
ethogram-{light,dark}.png. The browser gets a profile of its own and no network.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
WIDTH = 1100
SCHEMES = {"dark": 0, "light": 1}
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def only(section: str) -> str:
    """Style that leaves one section of the page."""
    return (
        f"main > section:not(#{section}), .masthead, nav, .foot {{ display: none }}"
        f" section {{ margin-top: 28px }}"
    )


def shoot(browser: str, page: Path, out: Path, scheme: str, height: int, style: str) -> None:
    """Write one picture of the top ``height`` pixels of the page."""
    from PIL import Image

    text = POLICY.sub("", page.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(text.replace("</head>", f"<style>{style}</style></head>"), "utf-8")
        raw = Path(folder) / "raw.png"
        command = [
            browser,
            *FLAGS,
            f"--user-data-dir={folder}/profile",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
            f"--window-size={WIDTH},{height}",
            f"--screenshot={raw}",
            copy.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(raw) as picture:
            picture.convert("RGB").save(out, optimize=True)
    print(out, out.stat().st_size)


def main() -> None:
    """Parse the command line and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--browser", default=shutil.which("chromium") or "google-chrome")
    parser.add_argument("--ethogram-height", type=int, default=720)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [(f"report-{s}.png", s, 1250, "") for s in SCHEMES]
    jobs += [(f"ethogram-{s}.png", s, options.ethogram_height, only("ethogram")) for s in SCHEMES]
    jobs.append(("mistakes-light.png", "light", 500, only("mistakes")))
    for name, scheme, height, style in jobs:
        shoot(options.browser, options.report, options.out / name, scheme, height, style)


if __name__ == "__main__":
    main()
