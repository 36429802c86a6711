"""Registers the automations in this folder with the Prefect server that PREFECT_API_URL names; repeatable.

    ALERT_URL=https://hooks.example.com/… python deployments/automations/register.py

ALERT_URL takes a POST of {"text": "…"}, as Slack's and Mattermost's incoming webhooks do. It is kept in a Webhook block
named diarynotes-alerts. What is there under the same name is brought up to date where it is, so that at no moment an
automation is missing; one that somebody has paused stays paused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore

FOLDER = Path(__file__).parent
BLOCK_NAME = "diarynotes-alerts"


def main(alert_url: str) -> None:
    webhook = Webhook(url=alert_url, headers={"Content-Type": "application/json"})
    block_id = str(webhook.save(BLOCK_NAME, overwrite=True))
    automations = read_automations(block_id)
    with get_client(sync_client=True) as client:
        for automation in automations:
            register(client, automation)
            click.echo(f"registered {automation.name}")


def read_automations(block_id: str) -> list[AutomationCore]:
    """Those of all files in the folder, with the block's id in its place."""
    texts = [file.read_text().replace("ALERT_BLOCK_ID", block_id) for file in sorted(FOLDER.glob("*.yaml"))]
    return [AutomationCore.model_validate(told) for text in texts for told in yaml.safe_load(text)["automations"]]


def register(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Makes it, or changes the one of this name; a second one of this name would tell everything twice, and goes."""
    there = client.read_automations_by_name(automation.name)
    if not there:
        client.create_automation(automation)
        return
    first, *others = there
    client.update_automation(first.id, automation.model_copy(update={"enabled": first.enabled}))
    for other in others:
        client.delete_automation(other.id)


if __name__ == "__main__":
    if not os.environ.get("ALERT_URL"):
        sys.exit("Set ALERT_URL to the address that messages go to.")
    main(os.environ["ALERT_URL"])
