#!/bin/sh
# Registers the automations in this folder with the Prefect server that PREFECT_API_URL names; those that were there
# before under the same names are replaced.
#   ALERT_URL=https://hooks.example.com/… deployments/automations/register.sh
# ALERT_URL takes a POST of {"text": "…"}, as Slack's and Mattermost's incoming webhooks do. It is kept in a Webhook
# block named diarynotes-alerts. With that block's id in its place, each file is also one for
#   prefect automation create --from-file
set -eu
: "${ALERT_URL:?set it to the address that messages go to}"
export ALERT_URL
exec python - "$(dirname "$0")" <<'END'
import os
import sys
from pathlib import Path

import yaml
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore

block = Webhook(url=os.environ["ALERT_URL"]).save("diarynotes-alerts", overwrite=True)
with get_client(sync_client=True) as client:
    there = client.request("POST", "/automations/filter", json={}).json()
    for file in sorted(Path(sys.argv[1]).glob("*.yaml")):
        for told in yaml.safe_load(file.read_text().replace("ALERT_BLOCK_ID", str(block)))["automations"]:
            automation = AutomationCore.model_validate(told)
            for old in there:
                if old["name"] == automation.name:
                    client.request("DELETE", f"/automations/{old['id']}")
            client.request("POST", "/automations/", json=automation.model_dump(mode="json"))
            print("registered", automation.name)
END
