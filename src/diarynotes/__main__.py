"""`python -m diarynotes` is the command line."""

from diarynotes.cli import main

if __name__ == "__main__":
    main()
