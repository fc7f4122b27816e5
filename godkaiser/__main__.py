"""`python -m godkaiser`."""

from godkaiser.cli import main

if __name__ == "__main__":
    main()
