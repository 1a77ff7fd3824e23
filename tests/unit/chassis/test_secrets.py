"""Secrets that are given out."""

from chassis.secrets import Repeatable, fresh


def test_a_secret_is_made_once() -> None:
    made = {fresh() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("dtn_")
        assert len(bytes.fromhex(secret.removeprefix("dtn_"))) == 32


def test_a_repeatable_secret_depends_on_all_it_is_made_of() -> None:
    one, other = Repeatable(b"a" * 32, "a"), Repeatable(b"b" * 32, "b")
    first = one.secret("n", "scope", "r")
    assert first == one.secret("n", "scope", "r")
    assert len(bytes.fromhex(first.removeprefix("dtn_"))) == 32
    others = {
        other.secret("n", "scope", "r"),
        one.secret("m", "scope", "r"),
        one.secret("n", "scop", "r"),
        one.secret("n", "scope", "s"),
    }
    assert len(others | {first}) == 5
    assert one.nonce() != one.nonce()
