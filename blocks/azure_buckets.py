"""A Prefect block with what opens Azure's buckets: `prefect block register --file blocks/azure_buckets.py`.

Our own, because prefect-azure brings half of Azure's management libraries and holds setuptools back.
"""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class AzureBuckets(Block):
    """How to log in to an Azure storage account: one of a connection string, a key, a token or a service principal.

    With the account's name alone Azure's own library looks for credentials: the environment, the machine's identity.
    """

    _block_type_name = "Azure Buckets"
    _block_type_slug = "azure-buckets"
    _description = "How diarynotes logs in to an Azure storage account."

    account_name: str | None = Field(None, description="The storage account.")
    connection_string: SecretStr | None = Field(None, description="All in one, as the portal shows it.")
    account_key: SecretStr | None = Field(None, description="One of the account's two keys.")
    sas_token: SecretStr | None = Field(None, description="A shared access signature that may list and read.")
    tenant_id: str | None = Field(None, description="The Entra tenant of a service principal.")
    client_id: str | None = Field(None, description="The service principal.")
    client_secret: SecretStr | None = Field(None, description="Its secret.")

    def storage_options(self) -> dict[str, Any]:
        """What fsspec takes; holds secrets."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in given.items()
            if value
        }
