"""Shapes of registries."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from gateway.schemas.base import NO_NUL, Answer, Asked, Text, iso
from ratoon.snapshots.v1 import registry_pb2
from ratoon.snapshots.v1 import registry_service_pb2 as pb

_URL = "[http://|https://]host[:port][/path]; empty: Docker Hub"
_PROJECT = "Only images below it are meant"
Url = Annotated[str, StringConstraints(max_length=2_048, pattern=NO_NUL)]
Password = Annotated[str, StringConstraints(max_length=16_384, pattern=NO_NUL)]


class CreateDockerRegistry(Asked):
    name: Text = Field(min_length=1, description="What people call it")
    url: Url = Field(description=_URL)
    username: Text = Field(description="May be empty")
    password: Password = Field(description="May be empty; it is never answered")
    project: Text | None = Field(default=None, description=_PROJECT)


class UpdateDockerRegistry(Asked):
    name: Text = Field(min_length=1, description="What people call it")
    url: Url = Field(description=_URL)
    username: Text = Field(description="May be empty")
    password: Password | None = Field(
        default=None,
        description="Empty or absent: as it is; for another host it has to be given anew",
    )
    project: Text | None = Field(default=None, description=f"{_PROJECT}; absent: as it is")


class DockerRegistry(Answer):
    id: str
    name: str
    url: str
    username: str
    project: str
    registry_type: Literal["internal", "organization", "transient", "backup"]
    created_at: str
    updated_at: str


class RegistryTest(Answer):
    ok: bool = Field(description="Whether the registry lets in whoever shows what is kept for it")
    code: str = Field(
        description="For programs: OK, OPEN (it asks for no credentials), or why not, as failed pulls say it"
    )
    reason: str = Field(description="For people")


class RegistryPushAccessDto(Answer):
    username: str
    secret: str = Field(description="Shown this once")
    registry_url: str = Field(description="host[:port], as images' names begin")
    registry_id: str
    project: str = Field(
        description="What follows the host in images' names: registryUrl/project/…"
    )
    expires_at: str


class RegistryToken(Answer):
    """As registries' own protocol has it, names included."""

    model_config = ConfigDict(alias_generator=None)

    token: str
    access_token: str = Field(description="The same again")
    expires_in: int = Field(description="Seconds")
    issued_at: str


def creation_of(asked: CreateDockerRegistry) -> pb.CreateRegistryRequest:
    return pb.CreateRegistryRequest(
        name=asked.name,
        url=asked.url,
        username=asked.username,
        password=asked.password,
        project=asked.project or "",
    )


def change_of(asked: UpdateDockerRegistry) -> pb.UpdateRegistryRequest:
    return pb.UpdateRegistryRequest(
        name=asked.name,
        url=asked.url,
        username=asked.username,
        password=asked.password or "",
        project=asked.project,
    )


def registry_from_proto(said: registry_pb2.Registry) -> DockerRegistry:
    return DockerRegistry(
        id=said.id,
        name=said.name,
        url=said.url,
        username=said.username,
        project=said.project,
        registry_type="organization",
        created_at=iso(said.create_time),
        updated_at=iso(said.update_time),
    )


def access_from_proto(said: pb.IssuePushAccessResponse) -> RegistryPushAccessDto:
    return RegistryPushAccessDto(
        username=said.username,
        secret=said.secret,
        registry_url=said.registry_url,
        registry_id=said.registry_id,
        project=said.project,
        expires_at=iso(said.expire_time),
    )


def token_from_proto(said: pb.IssueRegistryTokenResponse) -> RegistryToken:
    return RegistryToken(
        token=said.token,
        access_token=said.token,
        expires_in=said.expires_in,
        issued_at=iso(said.issue_time),
    )
