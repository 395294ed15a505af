"""The demo: an authentic and a manipulated sample, judged by the detector that ships.

    python scripts/demo.py demo        # leaves demo/*.mp4 and a page for each

The light install is enough; of scikit-image only one picture file is used. The person is NASA's
public-domain portrait of Eileen Collins, moved and lit; the manipulated sample shows her with an
altered copy of her own face blended in (`train_demo.FaceSwap`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from make_media import portrait_frames, write_video
from train_demo import FaceSwap

FRAMES, FPS, SIZE_PX, SEED = 100, 25, (640, 360), 11


def main() -> int:
    """Make both samples and judge them by the command that a user would type."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the samples and pages go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, retouch in (("authentic", None), ("manipulated", FaceSwap(7))):
        paths.append(str(folder / f"{name}.mp4"))
        frames = portrait_frames(FRAMES, *SIZE_PX, seed=SEED, fps=FPS, retouch=retouch)
        write_video(Path(paths[-1]), frames, fps=FPS, options={"crf": "20"})
    words = ["detect", *paths, "--html", str(folder)]
    print(f"\n$ unmask {' '.join(words)}\n", flush=True)
    code = subprocess.run([sys.executable, "-m", "unmask", *words], check=False).returncode
    if not code:
        page = folder / "manipulated.mp4.html"
        print(f"\nOpen {page} to see who, when, and where the model looked.")
    return code


if __name__ == "__main__":
    sys.exit(main())
