"""Capacity and cost on paper: what a load needs of AWS, from published prices and quotas (docs/capacity.md)."""
