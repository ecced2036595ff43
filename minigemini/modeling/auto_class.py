"""How classes are saved that the `auto_map` of a folder names, for `trust_remote_code=True`."""

from typing import Any, ClassVar


class AutoClass:
    """Mixin for a class that this package registers itself.

    `from_pretrained` of an Auto class marks the class that an `auto_map` names, and a marked class is saved with its
    source file and an `auto_map`. Where this package is installed, the `auto_map` of a packaged folder gives the
    package's class, whose source file would not load from a folder. So it is not marked, and is saved without code. The
    copies in a packaged folder are marked by `packaging.standalone_code`.
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
