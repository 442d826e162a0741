"""Capacity and cost calculator: what a load needs from AWS, by published prices and quotas (docs/capacity.md)."""
