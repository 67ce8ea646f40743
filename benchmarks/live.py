"""When a change of one client is live: the token endpoint, asked over and over with the client's certificate.

Owns the certificate of that client and the asking. Must not know what was changed. Neighbour: `operator_scale`.
"""

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.crowd import Member
from tests.controlplane.cluster import LocalCluster
from tests.core.x509.authority import Authority

_PAUSE = 0.01
"""Seconds between two requests."""
_LIMIT = 30.0


@dataclass(frozen=True)
class Live:
    """`authority` issued what the clients bring."""

    cluster: LocalCluster
    authority: Authority

    @asynccontextmanager
    async def asking(self, member: Member) -> AsyncIterator["Asking"]:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = self.authority.issue(dns=[member.host]).write(Path(folder))
            context = ssl.create_default_context(cafile=str(self.cluster.ca_file))
            context.load_cert_chain(certificate, key)
            async with httpx.AsyncClient(base_url=self.cluster.mtls_issuer, verify=context, trust_env=False) as http:
                yield Asking(http, member.client_id)


@dataclass(frozen=True)
class Asking:
    """One client with its connection."""

    http: httpx.AsyncClient
    client_id: str

    async def until(self, *, served: bool) -> float:
        """Seconds from now until the answer is that. Raises TimeoutError."""
        started, form = time.monotonic(), {"grant_type": "client_credentials", "client_id": self.client_id}
        async with asyncio.timeout(_LIMIT):
            while (await self.http.post("/oauth2/token", data=form)).is_success != served:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(_PAUSE)
        return time.monotonic() - started
