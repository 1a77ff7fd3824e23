"""The OpenID Connect issuer, if one is configured."""
