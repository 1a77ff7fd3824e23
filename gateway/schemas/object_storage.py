"""Shapes of the storage that build contexts are uploaded to."""

from pydantic import Field

from gateway.schemas.base import Answer
from ratoon.snapshots.v1.context_pb2 import UploadAccess


class StorageAccessDto(Answer):
    """Credentials that expire on their own, for the prefix of one organization."""

    access_key: str = Field(description="Id of the access key")
    secret: str = Field(description="Its secret")
    session_token: str = Field(description="Sent with every request to the storage")
    storage_url: str = Field(description="Where the storage is")
    organization_id: str = Field(description="The prefix that may be written, read and listed")
    bucket: str
    region: str = Field(description="What requests to the storage are signed for")


def access_from_proto(access: UploadAccess, organization_id: str) -> StorageAccessDto:
    return StorageAccessDto(
        access_key=access.access_key,
        secret=access.secret,
        session_token=access.session_token,
        storage_url=access.storage_url,
        organization_id=organization_id,
        bucket=access.bucket,
        region=access.region,
    )
