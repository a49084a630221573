"""Write a random checkpoint in the published layout: `python -m benchmarks.make_checkpoint --preset tiny --seed 1 DIR`."""

import argparse
from pathlib import Path


def main() -> None:
    """Parse the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description="Write an LFM2-Audio checkpoint with random weights."
    )
    parser.add_argument(
        "--preset",
        choices=("tiny", "full"),
        required=True,
        help="full: the published sizes, 3.3 GB",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("folder", type=Path, metavar="DIR", help="made if need be")
    args = parser.parse_args()

    from models.lfm2_audio.random_checkpoint import write_random_checkpoint

    write_random_checkpoint(args.folder, preset=args.preset, seed=args.seed)
    print(f"random {args.preset} checkpoint, seed {args.seed}: {args.folder}")


if __name__ == "__main__":
    main()
