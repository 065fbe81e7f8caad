"""Settings files of long-running processes: read with bounds, validated, reported with all of their errors.

The models of the files belong to the process that reads them; what all of them share is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from sealgate.errors import ConfigError
from sealgate.http.settings import HostSettings
from sealgate.messages import quote

if TYPE_CHECKING:
    from pathlib import Path

#: The most bytes of a settings file.
MAX_CONFIG_BYTES: Final = 1 << 20

M = TypeVar("M", bound=BaseModel)


class RegistriesConfig(BaseModel):
    """How registries and services are reached; each process may read further fields beside these.

    Attributes:
        insecure: hosts that may be reached over plain HTTP and at loopback addresses.
        private: further hosts that may have private addresses.
        mirrors: host -> host that is asked instead.
        ca: host -> path of a PEM bundle of CA certificates.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    insecure: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    mirrors: dict[str, str] = Field(default_factory=dict)
    ca: dict[str, str] = Field(default_factory=dict)

    def settings(self) -> HostSettings:
        """Return the same as settings of the HTTP client.

        Raises:
            ConfigError: a host is not valid.
        """
        return HostSettings(
            insecure=frozenset(self.insecure), private=frozenset(self.private), mirrors=self.mirrors, ca=self.ca
        )


def read_config(path: Path, model: type[M]) -> M:
    """Read and validate a settings file in YAML.

    Args:
        path: the file, of at most `MAX_CONFIG_BYTES`.
        model: the model of the whole file.

    Raises:
        ConfigError: the file cannot be read, is too large, is not YAML or does not fit the model. The message names
            every field that is wrong.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{quote(path)} cannot be read: {quote(error.strerror or error)}") from error
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{quote(path)} is larger than the limit of {MAX_CONFIG_BYTES} bytes")
    try:
        return model.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"{quote(path)} is not YAML: {quote(_explain_yaml(error))}") from error
    except ValidationError as error:
        problems = "; ".join(map(_explain, error.errors(include_url=False, include_input=False)))
        raise ConfigError(f"{quote(path)}: {problems}") from error


def _explain_yaml(error: yaml.YAMLError) -> str:
    """Return what is wrong and in which line, without the content of the file."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"{problem or type(error).__name__}{f' in line {mark.line + 1}' if mark else ''}"


def _explain(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    field = ".".join(map(str, error["loc"])) or "the whole file"
    return f"{quote(field)}: {quote(error['msg'].removeprefix('Value error, '))}"
