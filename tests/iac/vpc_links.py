"""Availability zones, and those that support VPC links of API Gateway.

Sources: "AZ IDs" (AWS Regions and Availability Zones), and "Set up VPC links V2 in API Gateway" (Amazon API Gateway
Developer Guide). Regions that the second page does not list are left out.
"""

from __future__ import annotations

ZONES = {
    "ape1": {1, 2, 3},
    "apne1": {1, 2, 3, 4},
    "apne2": {1, 2, 3, 4},
    "aps1": {1, 2, 3},
    "apse1": {1, 2, 3},
    "apse2": {1, 2, 3},
    "cac1": {1, 2, 4},
    "euc1": {1, 2, 3},
    "eun1": {1, 2, 3},
    "eus2": {1, 2, 3},
    "euw1": {1, 2, 3},
    "euw2": {1, 2, 3},
    "euw3": {1, 2, 3},
    "mes1": {1, 2, 3},
    "sae1": {1, 2, 3},
    "use1": {1, 2, 3, 4, 5, 6},
    "use2": {1, 2, 3},
    "usgw1": {1, 2, 3},
    "usw1": {1, 2, 3},
    "usw2": {1, 2, 3, 4},
}
"""The zones of each region, in the short form of their ids: use1-az3 is 3 of use1."""

SUPPORTED = ZONES | {
    "ape1": {2, 3},
    "apne1": {1, 2, 4},
    "apne2": {1, 2, 3},
    "cac1": {1, 2},
    "euw3": {1, 3},
    "use1": {1, 2, 4, 5, 6},
    "usw1": {1, 3},
}
"""Those that support VPC links."""


def supports_links(zone_id: str) -> bool:
    """Whether a zone supports VPC links."""
    region, _, number = zone_id.partition("-az")
    return int(number) in SUPPORTED[region]
