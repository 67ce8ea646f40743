"""A certificate that runs out because nobody renews it: said well before, once, while there is time to do something.

Owns when that is: for what somebody has to renew by hand, by its age; for what cert-manager renews, when it is behind. It is
a condition rather than an event alone, so that it is told once, by whichever replica, and stays to be seen. Pure.
Neighbours: `certificate` and `own_keys` say how long what a client is known by lasts; `plan` adds the condition.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.api.v1alpha1.conditions import ConditionType, Reason
from holdfast_operator.reconcile.finding import Finding, fine
from holdfast_operator.reconcile.issued import timestamp

NOTICE = timedelta(days=30)
"""How long before its end people hear of a certificate that they have to renew themselves."""
NOTICE_SHARE = 5
"""It is never more than this part of its life: of a certificate of ten days, the last two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifespan:
    """How long what a client is known by lasts. `what`: which certificate that is, and where it lies, for people.

    `renewal`: when cert-manager was to renew it; None: it does not.
    """

    begin: datetime
    end: datetime
    what: str
    renewal: datetime | None = None

    @property
    def notice(self) -> datetime:
        """From when on it is said that it will run out."""
        if self.renewal is not None and self.renewal < self.end:
            return self.renewal + (self.end - self.renewal) / 2
        return self.end - min(NOTICE, (self.end - self.begin) / NOTICE_SHARE)


def expiring(lifespan: Lifespan | None, now: datetime) -> dict[ConditionType, Finding]:
    """The condition while it runs out; empty before."""
    if lifespan is None or now < lifespan.notice:
        return {}
    end = timestamp(lifespan.end)
    if lifespan.renewal is None:
        message = f"{lifespan.what} ends at {end}, and nobody renews it by itself: put its successor beside it before"
    else:
        message = (
            f"{lifespan.what} ends at {end}, and cert-manager was to renew it at {timestamp(lifespan.renewal)}: "
            "kubectl describe certificate says what keeps it"
        )
    return {ConditionType.CERTIFICATE_EXPIRING: fine(Reason.CERTIFICATE_EXPIRING, message)}


def seconds_until_notice(lifespan: Lifespan | None, now: datetime) -> float | None:
    """When to look again for it; None: not for this."""
    return None if lifespan is None or lifespan.notice <= now else (lifespan.notice - now).total_seconds()
