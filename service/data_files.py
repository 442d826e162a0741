"""Files that the service reads at run time and that are kept in `IaC/`, because the infrastructure uses them too."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def data_file(name: str) -> Path:
    """Return the path of one of them: in `service/_data` of a wheel, beside the package in a clone or the image."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_file() else _PACKAGE.parent / "IaC" / name
