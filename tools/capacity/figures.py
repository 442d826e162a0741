"""The data file: prices, quotas, measured and chosen figures, each with its unit and source."""

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
    """All figures of the data file."""

    region: str
    date: dt.date
    """When prices and quotas were last compared with their sources."""
    named: Mapping[str, Mapping[str, Any]]
    """Prices, measured and chosen figures by name."""
    quotas: Mapping[str, Mapping[str, Any]]
    """Quotas by name, in the order of the file."""

    @classmethod
    def load(cls) -> Figures:
        """Read the data file."""
        data = tomllib.loads(FILE.read_text(encoding="utf-8"))
        named = data["prices"] | data["measured"] | data["chosen"]
        return cls(data["region"], data["date"], named, data["quotas"])

    def __getitem__(self, name: str) -> float:
        return float(self.named[name]["value"])

    def average_price(self, name: str, monthly: float) -> float:
        """Return the average price of a unit for this number of units a month."""
        left, cost = monthly, 0.0
        for size, price in self.named[name]["tiers"]:
            cost += min(left, size) * price
            left -= min(left, size)
        return cost / monthly

    def unconfirmed(self) -> list[str]:
        """Return the names of the figures that could not be confirmed at their source."""
        return [name for name, entry in [*self.named.items(), *self.quotas.items()] if "unconfirmed" in entry]
