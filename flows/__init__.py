"""The Prefect flows: thin shells that put the stages in order. `diary.py` is the whole way on one machine."""
