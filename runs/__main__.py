"""`python -m runs` is `rl`."""

from runs.cli import main

if __name__ == "__main__":
    main()
