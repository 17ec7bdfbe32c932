"""``python -m shoplake``."""

from shoplake.cli.main import main

if __name__ == "__main__":
    main()
