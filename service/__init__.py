"""A synchronous HTTP front for asynchronous AWS Step Functions workflows."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"
"""The only place that states the version: packaging, the image and the API description read it here."""

_PACKAGE = Path(__file__).parent


def data_file(name: str) -> Path:
    """Return the path of a file that the infrastructure in `IaC/` uses, too.

    It is in `service/_data` in a wheel, and beside the package in a clone or the image.
    """
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_file() else _PACKAGE.parent / "IaC" / name
