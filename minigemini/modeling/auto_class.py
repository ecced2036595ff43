"""What saving does with classes that the `auto_map` of a folder names, for `trust_remote_code=True`."""

from typing import Any, ClassVar


class AutoClass:
    """Mixin for a class that this package registers itself.

    `from_pretrained` of an Auto class marks the class that an `auto_map` names, and what is marked is saved with its
    source files and an `auto_map`. A packaged folder names a class of this package where it is installed; its files are
    not such a folder's, so it is neither marked nor saved so. The copies in the folder are marked by
    `packaging.standalone_code`.
    """

    _auto_class: ClassVar[str | None] = None

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "") -> None:
        """Do nothing, in place of Transformers' method."""

    def to_dict(self) -> dict[str, Any]:
        """Serialize as Transformers does, with an `auto_map` only if the code is saved too."""
        fields: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        if self._auto_class is None:
            fields.pop("auto_map", None)
        return fields
