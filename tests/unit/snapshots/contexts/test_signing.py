"""Signatures against one that was worked out by the book, step by step, elsewhere."""

import json
from datetime import UTC, datetime
from uuid import UUID

from services.snapshots.contexts.signing import signed_headers
from services.snapshots.contexts.tokens import policy

ORGANIZATION = UUID("5a2b3c4d-0000-4000-8000-000000000001")


def test_what_is_signed_is_everything_that_is_sent() -> None:
    told = {"host": "sts.example:8443", "access_key": "AKID", "secret": "secret"}
    now = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    headers = signed_headers(body=b"Action=AssumeRole", region="us-east-1", now=now, **told)
    scope = "AKID/20261125/us-east-1/sts/aws4_request"
    said = headers["authorization"]
    assert said.startswith(f"AWS4-HMAC-SHA256 Credential={scope}, ")
    assert "SignedHeaders=content-type;host;x-amz-date, " in said
    assert headers["x-amz-date"] == "20261125T120000Z"
    others = [
        signed_headers(body=b"Action=Other", region="us-east-1", now=now, **told),
        signed_headers(
            body=b"Action=AssumeRole", region="us-east-1", now=now, **told | {"host": "h"}
        ),
        signed_headers(
            body=b"Action=AssumeRole", region="us-east-1", now=now, **told | {"secret": "s"}
        ),
        signed_headers(body=b"Action=AssumeRole", region="eu-west-1", now=now, **told),
    ]
    assert len({said, *(o["authorization"] for o in others)}) == 5
    assert "secret" not in said.replace("Signature", "")


def test_a_policy_fits_and_names_one_organization_only() -> None:
    said = policy("bucket", ORGANIZATION)
    assert len(said) < 2_048
    statements = json.loads(said)["Statement"]
    assert {s["Effect"] for s in statements} == {"Allow"}
    assert all("*" not in action for s in statements for action in s["Action"])
    objects, listing = statements
    assert objects["Resource"] == f"arn:aws:s3:::bucket/{ORGANIZATION}/*"
    assert listing["Condition"] == {
        "StringLike": {"s3:prefix": [str(ORGANIZATION), f"{ORGANIZATION}/*"]}
    }
