"""Credentials for buckets: from the Prefect blocks that the settings name to the storage options of fsspec.

Reads blocks and connects; knows nothing of what lies in a bucket. Without a block's name the cloud's own tools look for
credentials where they always do: the environment, their files, the machine's role.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from diarynotes.buckets import connect
from diarynotes.errors import BadSettings, NotInstalled
from diarynotes.settings import Settings

_SCHEMES = {"gs": "gcs_block", "s3": "s3_block", "az": "azure_block"}
_EXTRAS = {"gs": "gcs", "s3": "s3", "az": "azure"}
_CLASSES = {
    "gs": {
        "gcp-credentials": "prefect_gcp.credentials:GcpCredentials",
        "gcs-bucket": "prefect_gcp.cloud_storage:GcsBucket",
    },
    "s3": {
        "aws-credentials": "prefect_aws.credentials:AwsCredentials",
        "minio-credentials": "prefect_aws.credentials:MinIOCredentials",
        "s3-bucket": "prefect_aws.s3:S3Bucket",
    },
    "az": {"azure-buckets": "blocks.azure_buckets:AzureBuckets"},
}
"""The types of blocks that give credentials for each scheme, the first where only a name is given."""


def connect_buckets(settings: Settings) -> None:
    """From now on this process reaches each kind of bucket with the block that the settings name for it.

    Raises: BadSettings for a block that is not there or does not fit; NotInstalled.
    """
    for scheme, setting in _SCHEMES.items():
        if named := getattr(settings, setting):
            connect(scheme, read_options(scheme, named))


def read_options(scheme: str, named: str) -> dict[str, Any]:
    """The storage options of a block, TYPE/NAME or NAME; they hold secrets. Raises: as `connect_buckets`."""
    kind, slash, name = named.rpartition("/")
    kind = kind if slash else next(iter(_CLASSES[scheme]))
    if kind not in _CLASSES[scheme]:
        known = ", ".join(_CLASSES[scheme])
        raise BadSettings(_SCHEMES[scheme], f"'{kind}' is no type of block for it; known are {known}")
    block = _load(_SCHEMES[scheme], _find_class(scheme, kind), f"{kind}/{name}", name)
    options: dict[str, Any] = {"gs": _google, "s3": _amazon, "az": _azure}[scheme](block)
    return {key: value for key, value in options.items() if value}


def _find_class(scheme: str, kind: str) -> Any:
    module, _, name = _CLASSES[scheme][kind].partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        install = f"pip install 'diarynotes[{_EXTRAS[scheme]}]'"
        raise NotInstalled(f"What reads {kind} blocks", install) from error


def _load(setting: str, kind: Any, named: str, name: str) -> Any:
    try:
        return kind.load(name)
    except Exception as error:
        # from None: what a block holds may be quoted in what it complains of
        raise BadSettings(setting, f"the block '{named}' cannot be loaded ({type(error).__name__})") from None


def _google(block: Any) -> dict[str, Any]:
    credentials = getattr(block, "gcp_credentials", block)
    key = credentials.service_account_info.get_secret_value() if credentials.service_account_info else None
    file = str(credentials.service_account_file) if credentials.service_account_file else None
    return {"token": key or file, "project": credentials.project}


def _amazon(block: Any) -> dict[str, Any]:
    credentials = getattr(block, "credentials", block)
    client = {
        name: value
        for name, value in credentials.aws_client_parameters.get_params_override().items()
        if name in ("endpoint_url", "use_ssl", "verify", "api_version")
    }
    if credentials.region_name:
        client["region_name"] = credentials.region_name
    if hasattr(credentials, "minio_root_user"):
        secret = credentials.minio_root_password.get_secret_value()
        return {"key": credentials.minio_root_user, "secret": secret, "client_kwargs": client}
    if credentials.assume_role_arn:
        # what the block assumes runs out within the hour; a profile is renewed by Amazon's own library
        raise BadSettings("s3_block", "cannot assume a role; put role_arn into a profile and give the block its name")
    secret = credentials.aws_secret_access_key
    return {
        "key": credentials.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "token": credentials.aws_session_token,
        "profile": credentials.profile_name,
        "client_kwargs": client,
    }


def _azure(block: Any) -> dict[str, Any]:
    options: dict[str, Any] = block.storage_options()
    return options
