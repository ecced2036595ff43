"""Downloads files of models from the Hugging Face Hub to the local cache. Readers validate them."""

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from .errors import CheckpointError
from .hashes import SUMS

DESCRIPTIONS = ("*.json", "*.jinja", "*.model", "*.txt", SUMS)
"""Patterns of the files that are downloaded besides weights: config, tokenizer, chat template and hashes. No code."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a hub id, owner/name."""
    return _HUB_ID.fullmatch(name) is not None


def check_folder_or_id(source: str) -> None:
    """Check that a source is a folder, or has the form of a hub id.

    Raises:
        CheckpointError: It is neither.
    """
    path = Path(source).expanduser()
    if path.is_file():
        raise CheckpointError(f"{source}: a file, not a checkpoint folder; give the folder that contains it")
    if not path.exists() and not is_hub_id(source):
        raise CheckpointError(f"{source}: no such folder, and not a hub id (owner/name); check the path")


def fetch(hub_id: str, patterns: Sequence[str]) -> Path:
    """Download the files of a model that match the patterns; cached files are reused.

    Raises:
        CheckpointError: The model does not exist, or the hub is unreachable.
    """
    # Imported here, because local folders do not need them and they are slow to import.
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import ENDPOINT as HUB
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        offline = not _can_be_resolved(HUB)
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns), local_files_only=offline))
    except GatedRepoError:
        raise CheckpointError(
            f"{hub_id}: gated model; request access on the hub, then log in with `hf auth login`"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise CheckpointError(f"{hub_id}: neither a local folder nor a model on the hub; check the name") from None
    except OSError as error:  # offline, no network, no space left
        raise CheckpointError(
            f"{hub_id}: no such local folder, and the download from the hub failed ({type(error).__name__}); check "
            "the path and the network"
        ) from None


def _can_be_resolved(address: str) -> bool:
    """Whether the hub's host resolves. If not, its client would retry for half a minute, often because of a typo."""
    if getproxies():  # the proxy resolves it
        return True
    try:
        socket.getaddrinfo(urlsplit(address).hostname, 443)
    except OSError:
        return False
    return True
