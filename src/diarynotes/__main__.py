"""`python -m diarynotes` is the command line."""

from diarynotes.cli import entry

if __name__ == "__main__":
    entry()
