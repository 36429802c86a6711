"""Credentials saved as Prefect blocks on a real server, and used against Amazon's buckets on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.testing.utilities import prefect_test_harness
from pydantic import SecretStr

from blocks.azure_buckets import AzureBuckets
from blocks.buckets import connect_buckets, read_options
from diarynotes.buckets import connect, find_object, hash_object, list_objects
from diarynotes.errors import BadSettings, SourceUnavailable
from diarynotes.settings import load_settings
from tests.integration import bucket_servers as servers
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow  # Prefect's server takes ten seconds to start


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=int(PATIENCE_S)):
        yield


@pytest.fixture(scope="module")
def amazon() -> Iterator[Any]:
    cloud = servers.Amazon(servers.start_python(servers.MOTO))
    cloud.make("voice")
    cloud.put("voice", "anna/a.m4a", b"sound")
    yield cloud
    connect("s3")
    cloud.server.stop()


def test_a_saved_block_opens_a_bucket(amazon: Any, tmp_path: Path) -> None:
    from prefect_aws.client_parameters import AwsClientParameters
    from prefect_aws.credentials import AwsCredentials, MinIOCredentials
    from prefect_aws.s3 import S3Bucket

    where = AwsClientParameters(endpoint_url=amazon.url)
    secret = SecretStr("secret-of-the-test")
    credentials = AwsCredentials(
        aws_access_key_id="AKIATEST", aws_secret_access_key=secret, region_name="us-east-1", aws_client_parameters=where
    )
    credentials.save("voice")
    MinIOCredentials(minio_root_user="AKIATEST", minio_root_password=secret, aws_client_parameters=where).save("own")
    S3Bucket(bucket_name="voice", credentials=credentials).save("whole")
    for named in ("voice", "aws-credentials/voice", "minio-credentials/own", "s3-bucket/whole"):
        settings = load_settings({}, home=tmp_path, s3_block=named)
        assert "secret-of-the-test" not in repr(settings)
        connect_buckets(settings)
        (found,) = list_objects("s3://voice")
        assert found.uri == "s3://voice/anna/a.m4a"
        assert hash_object(found)
        connect("s3")


def test_wrong_keys_in_a_block_are_refused_by_the_bucket(amazon: Any, tmp_path: Path) -> None:
    from prefect_aws.client_parameters import AwsClientParameters
    from prefect_aws.credentials import AwsCredentials

    where = AwsClientParameters(endpoint_url=amazon.url)
    wrong = AwsCredentials(
        aws_access_key_id="AKIAWRONG", aws_secret_access_key=SecretStr("wrong-secret"), aws_client_parameters=where
    )
    wrong.save("wrong")
    connect_buckets(load_settings({}, home=tmp_path, s3_block="wrong"))
    amazon.refuse(True)
    try:
        with pytest.raises(SourceUnavailable, match="is not permitted") as caught:
            find_object("s3://voice/anna/a.m4a")
    finally:
        amazon.refuse(False)
        connect("s3")
    assert "wrong-secret" not in str(caught.value)


def test_azures_block_gives_what_is_given_and_shows_no_secret() -> None:
    block = AzureBuckets(account_name="voice", account_key=SecretStr("key-of-the-test"))
    block.save("voice")
    assert "key-of-the-test" not in repr(block)
    assert read_options("az", "azure-buckets/voice") == {"account_name": "voice", "account_key": "key-of-the-test"}


def test_googles_block_gives_the_service_accounts_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect_gcp.cloud_storage import GcsBucket
    from prefect_gcp.credentials import GcpCredentials

    monkeypatch.setattr(GcpCredentials, "block_initialization", lambda self: None)  # it would ask for a real key
    key = {"type": "service_account", "private_key": "key-of-the-test"}
    credentials = GcpCredentials(service_account_info=key, project="voice")
    credentials.save("voice")
    GcsBucket(bucket="voice", gcp_credentials=credentials).save("whole")
    for named in ("voice", "gcs-bucket/whole"):
        assert read_options("gs", named) == {"token": key, "project": "voice"}


@pytest.mark.parametrize(
    ("named", "why"), [("nobody", "cannot be loaded"), ("secret/nobody", "known are aws-credentials")]
)
def test_a_block_that_is_not_there_is_the_users_to_mend(named: str, why: str) -> None:
    with pytest.raises(BadSettings, match=why):
        read_options("s3", named)
