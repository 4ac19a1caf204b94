"""Reach an object store twice in the same way: with LanceDB for the table, and with pyarrow for the files beside it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bmretriever_integrations.index.places.database import missing, note_use
from bmretriever_integrations.index.places.urls import Url

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name a server other than Amazon's, the first that is set counts."""
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
CONNECT_SECONDS = 5.0
RETRIES = timedelta(seconds=30)
"""pyarrow would try for 15 minutes to reach Google's store."""


def options_of(url: Url) -> dict[str, str]:
    """
    Return what LanceDB is told. It reads the other variables of the environment, and credentials, by itself.

    :param url: where the index is.
    :raises ValueError: if the server speaks plain HTTP and that was not allowed.
    """
    endpoint = _first(ENDPOINTS)
    if url.scheme != "s3" or endpoint is None:
        return {}
    if urlsplit(endpoint).scheme == "http" and not _is_set("AWS_ALLOW_HTTP"):
        raise ValueError(
            "the endpoint of S3 has http://, which encrypts nothing: give https://, or set AWS_ALLOW_HTTP=true"
        )
    return {"aws_endpoint": endpoint}


def file_system_of(url: Url) -> Any:
    """
    Open pyarrow's file system, which finds credentials where LanceDB does.

    :param url: where the index is.
    :raises ImportError: if pyarrow is missing.
    :raises OSError: if the region of a bucket cannot be found out.
    """
    try:
        from pyarrow import fs
    except ImportError as error:
        raise missing(error) from error
    note_use()
    if url.scheme == "gs":
        return fs.GcsFileSystem(anonymous=_is_set("GOOGLE_SKIP_SIGNATURE"), retry_time_limit=RETRIES)
    if url.scheme == "az":
        account, key = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"), os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
        if account is None:
            raise ValueError("set AZURE_STORAGE_ACCOUNT_NAME to the name of the storage account")
        return fs.AzureFileSystem(account, account_key=key)
    region, endpoint = _first(REGIONS), options_of(url).get("aws_endpoint")
    anonymous = _is_set("AWS_SKIP_SIGNATURE")
    if endpoint is None:
        where: dict[str, str] = {"region": region or fs.resolve_s3_region(url.bucket)}
    else:
        server = urlsplit(endpoint)
        where = {"scheme": server.scheme, "endpoint_override": server.netloc, "region": region or "us-east-1"}
    virtual = _is_set("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    return fs.S3FileSystem(
        anonymous=anonymous, connect_timeout=CONNECT_SECONDS, force_virtual_addressing=virtual, **where
    )


def _first(names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
