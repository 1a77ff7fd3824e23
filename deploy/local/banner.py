"""What is printed when all is healthy."""

_KEY_ONCE = """
The administrator is {email}. This API key is shown once; `ratoon key new` makes another.

  export DAYTONA_API_KEY={secret}
"""
_KEY_ELSEWHERE = """
The key was shown at the first start. Lost it? `ratoon key new` makes another.
"""
_TRY = """
Three things to try:

  curl -H "Authorization: Bearer $DAYTONA_API_KEY" {url}/snapshots
  curl -H "Authorization: Bearer $DAYTONA_API_KEY" -H "Content-Type: application/json" \\
       -d '{{"name": "first", "imageName": "alpine:3.20"}}' {url}/snapshots
  DAYTONA_API_URL={url} python3 -c 'from daytona import Daytona; print(Daytona().snapshot.list())'
"""


def ready(url: str, email: str, secret: str, *, edge: bool) -> str:
    """Return the text; `secret` is empty unless this start made the first key."""
    through = " (through Envoy)" if edge else ""
    key = _KEY_ONCE.format(email=email, secret=secret) if secret else _KEY_ELSEWHERE
    return f"\nRatoon is ready: {url}{through}\n{key}{_TRY.format(url=url)}"
