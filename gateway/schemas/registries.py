"""Shapes of registries."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

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
