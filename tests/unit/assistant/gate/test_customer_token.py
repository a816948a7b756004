"""Tokens of the shop for its customers: what counts, and what is refused."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwk, jwt

from chatscale_assistant.gate.customer_token import (
    IdentityRules,
    InvalidCustomerTokenError,
    KeySet,
    SecretKeys,
    read_key_id,
    read_key_set,
    verify_customer,
)
from hack.shop.tokens import sign_customer_token

NOW = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
SECRET = b"0123456789abcdef0123456789abcdef"
RULES = IdentityRules("shop")
CLAIMS = {"sub": "sara_doe_496", "aud": "shop", "exp": NOW_S + 600}
RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = jwk.ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
KEYS = read_key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})


def part(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(claims=CLAIMS, *, header=None, secret=SECRET, digest=hashlib.sha256) -> str:
    """By hand: a library refuses to make most of these tokens."""
    body = f"{part(header or {'alg': 'HS256'})}.{part(claims)}"
    mac = hmac.digest(secret, body.encode(), digest)
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def asymmetric(claims=CLAIMS, *, key=RSA, alg="RS256", kid="rsa-1") -> str:
    header = {"alg": alg} if kid is None else {"alg": alg, "kid": kid}
    return jwt.encode(header, claims, key, algorithms=[alg])


def test_the_shops_secret_vouches_for_a_customer():
    customer = verify_customer(signed(), SecretKeys(SECRET), RULES, NOW)
    assert (customer.id, customer.claims["aud"]) == ("sara_doe_496", "shop")


def test_the_sample_shop_signs_tokens_that_count():
    token = sign_customer_token("sara_doe_496", SECRET, audience="shop", now_s=NOW_S)
    assert verify_customer(token, SecretKeys(SECRET), RULES, NOW).id == "sara_doe_496"


@pytest.mark.parametrize(
    ("claims", "rules", "expected"),
    [
        pytest.param({**CLAIMS, "aud": ["other", "shop"]}, RULES, "sara_doe_496", id="one of several audiences"),
        pytest.param({**CLAIMS, "cid": 42}, IdentityRules("shop", "cid"), "42", id="whole number"),
        pytest.param({**CLAIMS, "cid": "c7"}, IdentityRules("shop", "cid"), "c7", id="other claim"),
        pytest.param({**CLAIMS, "exp": NOW_S - 20}, RULES, "sara_doe_496", id="within the leeway"),
        pytest.param({**CLAIMS, "nbf": NOW_S + 20}, RULES, "sara_doe_496", id="begins within the leeway"),
    ],
)
def test_valid_claims_count(claims, rules, expected):
    assert verify_customer(signed(claims), SecretKeys(SECRET), rules, NOW).id == expected


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c", id="no JSON"),
        pytest.param(f"{part({'alg': 'none'})}.{part(CLAIMS)}.", id="alg none"),
        pytest.param(f"{part({'alg': 'None'})}.{part(CLAIMS)}.", id="alg None"),
        pytest.param(f"{part({'alg': ''})}.{part(CLAIMS)}.", id="no alg"),
        pytest.param(f"{part({})}.{part(CLAIMS)}.", id="no header"),
        pytest.param(signed(header={"alg": "none"}), id="alg none with a signature"),
        pytest.param(signed(header={"alg": "HS512"}, digest=hashlib.sha512), id="other symmetric algorithm"),
        pytest.param(signed(header={"alg": "HS256", "crit": ["x"], "x": 1}), id="unknown critical header"),
        pytest.param(signed(header={"alg": "HS256", "b64": False, "crit": ["b64"]}), id="unencoded payload"),
        pytest.param(signed(secret=b"x" * 32), id="other secret"),
        pytest.param(signed()[:-2], id="cut signature"),
        pytest.param(f"{signed().rsplit('.', 1)[0]}.", id="empty signature"),
        pytest.param(signed({**CLAIMS, "aud": "other"}), id="other audience"),
        pytest.param(signed({**CLAIMS, "aud": []}), id="empty audience"),
        pytest.param(signed({"sub": "x", "exp": NOW_S + 600}), id="no audience"),
        pytest.param(signed({**CLAIMS, "exp": NOW_S - 31}), id="expired"),
        pytest.param(signed({"sub": "x", "aud": "shop"}), id="no expiry"),
        pytest.param(signed({**CLAIMS, "exp": "never"}), id="expiry of another type"),
        pytest.param(signed({**CLAIMS, "nbf": NOW_S + 31}), id="not yet valid"),
        pytest.param(signed({**CLAIMS, "iat": NOW_S + 3600}), id="issued in the future"),
        pytest.param(signed({"aud": "shop", "exp": NOW_S + 600}), id="no customer"),
        pytest.param(signed({**CLAIMS, "sub": ""}), id="empty customer"),
        pytest.param(signed({**CLAIMS, "sub": True}), id="customer is a truth value"),
        pytest.param(signed({**CLAIMS, "sub": ["sara"]}), id="customer is a list"),
        pytest.param(signed({**CLAIMS, "sub": "a\u200bb"}), id="hidden character"),
        pytest.param(signed({**CLAIMS, "sub": "x" * 300}), id="long customer"),
        pytest.param(signed({**CLAIMS, "pad": "x" * 9000}), id="long token"),
        pytest.param(signed([1]), id="claims are a list"),
        pytest.param(asymmetric(), id="asymmetric"),
    ],
)
def test_other_tokens_are_refused_by_secret(token):
    with pytest.raises(InvalidCustomerTokenError):
        verify_customer(token, SecretKeys(SECRET), RULES, NOW)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(asymmetric(), id="RSA"),
        pytest.param(asymmetric(key=EC, alg="ES256", kid="ec-1"), id="elliptic curve"),
    ],
)
def test_keys_of_the_shops_key_set_vouch(token):
    assert verify_customer(token, KEYS, RULES, NOW).id == "sara_doe_496"


PEM = RSA.as_pem(private=False)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(header={"alg": "HS256", "kid": "rsa-1"}, secret=PEM), id="public key as a secret"),
        pytest.param(signed(header={"alg": "HS256", "kid": "rsa-1"}, secret=PEM.strip()), id="public key, stripped"),
        pytest.param(signed(header={"alg": "HS256", "kid": ""}, secret=b""), id="empty secret"),
        pytest.param(asymmetric(kid="ec-1"), id="id of another key"),
        pytest.param(asymmetric(kid="unknown"), id="unknown key"),
        pytest.param(asymmetric(kid=None), id="no id, two keys"),
        pytest.param(asymmetric(key=jwk.RSAKey.generate_key(2048)), id="foreign key with a known id"),
        pytest.param(signed(header={"alg": "RS256", "kid": "rsa-1"}), id="HMAC in place of RSA"),
        pytest.param(
            signed(header={"alg": "RS256", "kid": "x", "jwk": RSA.as_dict(private=False)}), id="key in the header"
        ),
        pytest.param(signed(header={"alg": "RS256", "kid": ["rsa-1"]}), id="id is a list"),
        pytest.param(f"{part({'alg': 'none', 'kid': 'rsa-1'})}.{part(CLAIMS)}.", id="alg none"),
    ],
)
def test_other_tokens_are_refused_by_key_set(token):
    with pytest.raises(InvalidCustomerTokenError):
        verify_customer(token, KEYS, RULES, NOW)


def test_a_token_without_key_id_counts_for_the_only_key():
    keys = read_key_set({"keys": [RSA.as_dict(private=False)]})
    assert verify_customer(asymmetric(kid=None), keys, RULES, NOW).id == "sara_doe_496"


def test_a_key_set_has_only_keys_for_signatures():
    secret = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "oct"}
    encryption = {**RSA.as_dict(private=False), "use": "enc", "kid": "enc"}
    broken = [{"kty": "RSA", "kid": "b"}, "x", 7, {"kty": ["RSA"]}, {**RSA.as_dict(private=False), "kid": 3}]
    found = read_key_set({"keys": [secret, encryption, *broken, RSA.as_dict(private=False)]})
    assert set(found.keys) == {"rsa-1"}


def test_a_key_id_of_two_keys_counts_for_neither():
    other = {**EC.as_dict(private=False), "kid": "rsa-1"}
    assert read_key_set({"keys": [RSA.as_dict(private=False), other]}).keys == {}


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "x"])
def test_another_document_is_no_key_set(document):
    with pytest.raises(ValueError, match="keys"):
        read_key_set(document)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="has 8 bytes, expected at least 32"):
        SecretKeys(b"12345678")


def test_a_secret_is_not_shown():
    assert "0123" not in repr(SecretKeys(SECRET))


def test_key_ids_are_read_without_verification():
    assert [read_key_id(each) for each in (asymmetric(), signed(), "x", "a.b.c")] == ["rsa-1", "", None, None]


def test_a_day_later_the_same_token_is_refused():
    with pytest.raises(InvalidCustomerTokenError, match="ExpiredTokenError"):
        verify_customer(signed(), SecretKeys(SECRET), RULES, NOW + timedelta(days=1))


def test_no_key_set_vouches_for_nobody():
    with pytest.raises(InvalidCustomerTokenError):
        verify_customer(asymmetric(), KeySet(), RULES, NOW)
