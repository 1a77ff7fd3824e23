"""Machines of customers' regions, known by secrets that orgs keeps."""

import re
from collections import OrderedDict

from services.auth.domain.access import OrganizationsUnavailable
from services.auth.peers import Organizations

# As orgs makes them. Nothing else is worth a question.
_SECRET = re.compile(r"dtn_[0-9a-f]{64}", re.ASCII)
_REMEMBERED = 4096


class RegionMachines:
    """Asks orgs each time; remembers whom it named, to tell an outage from a stranger."""

    def __init__(self, organizations: Organizations) -> None:
        self._organizations = organizations
        self._confirmed: OrderedDict[bytes, None] = OrderedDict()

    async def named(self, secret: str, digest: bytes) -> str | None:
        """Return the name of the machine with that secret; None: there is none.

        Refused with ORGANIZATIONS_UNAVAILABLE while orgs is away and confirmed the secret before.
        """
        if not _SECRET.fullmatch(secret):
            return None
        try:
            name = await self._organizations.region_machine(digest)
        except OrganizationsUnavailable:
            if digest in self._confirmed:
                raise
            return None
        self._confirmed.pop(digest, None)
        if name is not None:
            self._confirmed[digest] = None
            if len(self._confirmed) > _REMEMBERED:
                self._confirmed.popitem(last=False)
        return name
