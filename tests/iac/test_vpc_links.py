"""VPC links: the zones that do not support them"""

from __future__ import annotations

import pytest

from tests.iac.files import blocks
from tests.iac.vpc_links import ZONES, supports_links
from tools.preflight.zones import WITHOUT_VPC_LINKS

pytestmark = pytest.mark.timeout(180)  # the parser takes seconds even on an idle machine


def test_the_configuration_leaves_out_exactly_the_zones_without_links() -> None:
    written = [block.body["zones_without_links"] for block in blocks() if "zones_without_links" in block.body]
    existing = [f"{region}-az{number}" for region, numbers in ZONES.items() for number in sorted(numbers)]
    assert written == [[zone for zone in existing if not supports_links(zone)]]
    assert set(written[0]) == WITHOUT_VPC_LINKS  # of the preflight
