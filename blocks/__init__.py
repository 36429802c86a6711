"""Prefect blocks: one for each set of credentials. A block only yields settings; nothing else reads secrets."""
