"""Our signer against botocore's: both write the same headers for every request that we make."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given
from hypothesis import strategies as st

from service.stepfunctions.sigv4 import CONTENT_TYPE, Signer

URLS = st.sampled_from(
    [
        "https://states.eu-west-1.amazonaws.com/",
        "https://states.eu-west-1.amazonaws.com",
        "https://states.us-gov-west-1.amazonaws.com:443/",
        "http://127.0.0.1:4566/",
        "http://LocalHost:80/",
        "http://[::1]:8080/",
        "https://vpce-1.states.eu-west-1.vpce.amazonaws.com:8443/some path/%41//deep/../x~-_./",
    ]
)
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
MOMENTS = st.integers(1_600_000_000, 2_500_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))


def by_botocore(url: str, target: str, body: bytes, credentials: ReadOnlyCredentials, now: datetime) -> dict[str, str]:
    request = AWSRequest("POST", url, {"Content-Type": CONTENT_TYPE, "X-Amz-Target": target}, body)
    with patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(credentials, "states", "eu-west-1").add_auth(request)
    return dict(request.headers)


@given(
    url=URLS,
    target=st.from_regex(r"[A-Za-z]{1,20}\.[A-Za-z]{1,20}", fullmatch=True),
    requests=st.lists(
        st.tuples(st.binary(max_size=500), KEYS, KEYS, st.none() | KEYS, MOMENTS), min_size=1, max_size=4
    ),
)
@example(
    url="http://127.0.0.1:4566/",
    target="A.B",
    requests=[
        (b"{}", "AKID", "secret", None, datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)),
        (b"{}", "AKID", "secret", None, datetime(2026, 1, 2, 0, 0, 0, tzinfo=UTC)),
        (b"{}", "AKID2", "rotated", "token", datetime(2026, 1, 2, 0, 0, 0, tzinfo=UTC)),
        (b"{}", "AKID", "secret", None, datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_one_signer_signs_request_after_request_as_botocore_does(
    url: str, target: str, requests: list[tuple[bytes, str, str, str | None, datetime]]
) -> None:
    signer = Signer(url, "states", "eu-west-1")
    for body, access_key, secret_key, token, now in requests:
        credentials = ReadOnlyCredentials(access_key, secret_key, token)
        ours = signer.headers(target, body, credentials, now.timestamp())
        assert ours == by_botocore(url, target, body, credentials, now)
