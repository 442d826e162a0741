"""The data file: prices, quotas, measured and chosen figures, each with its unit and where it is from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

FILE = Path(__file__).with_name("figures.toml")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures by name, and the quotas in the order of the file."""

    region: str
    date: dt.date
    named: Mapping[str, Mapping[str, Any]]
    quotas: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls) -> Figures:
        """Read the data file."""
        data = tomllib.loads(FILE.read_text(encoding="utf-8"))
        named = data["prices"] | data["measured"] | data["chosen"]
        return cls(data["region"], data["date"], named, data["quotas"])

    def __getitem__(self, name: str) -> float:
        return float(self.named[name]["value"])

    def average_price(self, name: str, monthly: float) -> float:
        """Return what one unit costs on average when this many are used a month."""
        left, cost = monthly, 0.0
        for size, price in self.named[name]["tiers"]:
            cost += min(left, size) * price
            left -= min(left, size)
        return cost / monthly

    def unconfirmed(self) -> list[str]:
        """Return the names of the figures that could not be read on their source."""
        return [name for name, entry in [*self.named.items(), *self.quotas.items()] if "unconfirmed" in entry]
