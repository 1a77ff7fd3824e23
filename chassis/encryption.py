"""Where a context's encryption keys are: in a file, or in the variable itself where the platform keeps secrets."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from chassis.sealing import KeyRing


class EncryptionSettings(BaseSettings):
    """`<PREFIX>ENCRYPTION_KEYS_FILE` or `<PREFIX>ENCRYPTION_KEYS`, one of both; refused at the start if it holds no keys."""

    encryption_keys_file: Path | None = None
    encryption_keys: SecretStr | None = Field(None, validate_default=True)

    @field_validator("encryption_keys_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                KeyRing(path)
            except OSError as unreadable:
                raise ValueError(f"the file cannot be read: {unreadable.strerror}") from None
        return path

    @field_validator("encryption_keys")
    @classmethod
    def _one_of_both(cls, keys: SecretStr | None, told: ValidationInfo) -> SecretStr | None:
        if keys is not None:
            KeyRing(text=keys.get_secret_value())
        # A file that was refused has been complained about already.
        elsewhere = told.data.get("encryption_keys_file", "refused") is not None
        if (keys is not None) == elsewhere:
            file = f"{cls.model_config.get('env_prefix', '')}ENCRYPTION_KEYS_FILE"
            raise ValueError(f"give the encryption keys either here or by {file}")
        return keys

    def ring(self) -> KeyRing:
        if self.encryption_keys is not None:
            return KeyRing(text=self.encryption_keys.get_secret_value())
        return KeyRing(self.encryption_keys_file)
