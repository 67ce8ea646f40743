"""What a method of client authentication found out, as the others need to know it.

Owns the value alone. Neighbours: the methods answer with it, `authenticate` reads it.
"""

from datetime import datetime
from typing import NamedTuple


class Proof(NamedTuple):
    """A client proved who it is.

    `expires`: the moment at which the certificate that tokens are bound to ends; None: there is no certificate to bind to,
    or its end does not count for this client. `holds_until`: up to when the same certificate would prove the same, while
    clients and denied certificates stay as they are; None: it has to be looked at each time.
    """

    expires: datetime | None
    holds_until: datetime | None = None
