"""What went wrong with an object store, in one line that says what to do and holds no secret."""

from __future__ import annotations

import re

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
SERVERS = {"s3": "AWS_ENDPOINT_URL and AWS_REGION", "gs": "the network", "az": "AZURE_STORAGE_ACCOUNT_NAME"}
"""What says where the server is."""

_OF_A_STORE = re.compile(r"AWS Error|google::cloud|GcsFileSystem|Azure|RetryError|HttpError|store: |AWS credentials")
_KINDS = (
    ("no bucket", re.compile(r"NoSuchBucket|NO_SUCH_BUCKET|ContainerNotFound", re.IGNORECASE)),
    (
        "no credentials",
        re.compile(r"CredentialsNotLoaded|Failed to get AWS credentials|could not find.*credentials", re.IGNORECASE),
    ),
    (
        "refused",
        re.compile(
            r"ACCESS_?DENIED|FORBIDDEN|INVALID_?ACCESS_?KEY|SIGNATURE_?DOES_?NOT_?MATCH|EXPIRED_?TOKEN|INVALID_?TOKEN|"
            r"UNRECOGNIZED_?CLIENT|AuthenticationFailed|status(?: code)?:? 40[13]|HTTP status 40[13]",
            re.IGNORECASE,
        ),
    ),
    (
        "other region",
        re.compile(r"PermanentRedirect|HTTP status 301|AuthorizationHeaderMalformed|IllegalLocation", re.IGNORECASE),
    ),
    (
        "not reached",
        re.compile(
            r"NETWORK_CONNECTION|curlCode|Connect|timed? ?out|dns error|SLOW_?DOWN|ServiceUnavailable|status: 50\d",
            re.IGNORECASE,
        ),
    ),
)


def is_of_a_store(error: BaseException) -> bool:
    """
    Tell an error of the way to an object store from one of the table's content.

    :param error: what LanceDB or pyarrow raised.
    """
    from_libraries = (OSError, PermissionError, RuntimeError, ValueError)  # ours are of classes derived from these
    return type(error) in from_libraries and _OF_A_STORE.search(str(error)) is not None


def refusal(url: str, error: BaseException) -> ConnectionError:
    """
    Say what went wrong. What a library says is not repeated, because it may hold a signed address.

    :param url: the index.
    :param error: what LanceDB or pyarrow raised.
    """
    scheme, text = url.partition(":")[0], str(error)
    kind = next((kind for kind, pattern in _KINDS if pattern.search(text)), "other")
    bucket = url.split("/")[2]
    said = {
        "no bucket": f"there is no bucket {bucket!r}; make it first, or correct the name",
        "no credentials": f"no credentials were found; set {CREDENTIALS[scheme]}",
        "refused": f"the store refuses the credentials, or they give no right to it; check {CREDENTIALS[scheme]}, and the rights "
        "to list, read and write",
        "other region": "the bucket is in another region; set AWS_REGION to it",
        "not reached": f"the store does not answer; check {SERVERS[scheme]}, and try again",
    }
    codes = re.findall(r"AWS Error (\w+)|<Code>(\w+)</Code>|status: (\d+)", text)
    code = next((one for found in codes for one in found if one), type(error).__name__)
    return ConnectionError(f"{url} cannot be used: {said.get(kind, 'the store reports an error; try again')} ({code})")
