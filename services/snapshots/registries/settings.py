"""What an operator says about registries to all who speak to them."""

from pathlib import Path

from pydantic_settings import BaseSettings


class RegistrySettings(BaseSettings):
    """Read with the prefix of whoever extends it."""

    # `host[:port]`, separated by commas: spoken to in plain HTTP.
    insecure_registries: str = ""
    registry_ca_file: Path | None = None
    # The installation's own registry, `host[:port]`. Empty: there is none.
    push_registry: str = ""
    # Where its files are, if they are at hand: then what is pushed is limited, and goes when it is old.
    push_registry_path: Path | None = None

    @property
    def insecure_hosts(self) -> frozenset[str]:
        return frozenset(
            host.strip() for host in self.insecure_registries.split(",") if host.strip()
        )
