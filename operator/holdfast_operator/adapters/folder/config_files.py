"""The ConfigMap that applications know the server from, as files: one a key, exactly as a pod has it mounted.

Owns the folder `config-maps/<namespace>/<name>` below the data folder. Neighbours: `secret_files` writes,
`holdfast_operator.reconcile.namespace_config` says which ConfigMaps are ours; those of people are not written out.
"""

import logging
from pathlib import Path

from holdfast_operator.adapters.folder.secret_files import read_secret, remove_secret, write_secret
from holdfast_operator.reconcile.namespace_config import is_ours
from holdfast_operator.reconcile.ports import Object

log = logging.getLogger(__name__)


class ConfigFiles:
    """Below `folder`. What cannot be written is told, and the next change tries again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def changed(self, config_map: Object, gone: bool) -> None:
        """Make the files say what the object says."""
        metadata = config_map["metadata"]
        folder = self._folder / metadata["namespace"] / metadata["name"]
        try:
            if gone or not is_ours(config_map):
                if folder.is_dir():
                    remove_secret(folder)
                return
            files = {key: str(value).encode() for key, value in (config_map.get("data") or {}).items()}
            if read_secret(folder) != files:
                write_secret(folder, files)
        except OSError as error:
            log.error("%s cannot be written: %s", folder, error)
