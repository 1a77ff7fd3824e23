"""What an operator says about builders to those who ask for builds."""

from pydantic_settings import BaseSettings


class PresenceSettings(BaseSettings):
    """Read with the prefix of whoever extends it."""

    # Whether a builder works beside this process; if not, why not, as it is told to who asks for a build.
    builder: bool = False
    no_builder: str = "no builder is set up"

    @property
    def why_none(self) -> str:
        """Return why nothing is built here; empty: something is."""
        return "" if self.builder else self.no_builder
