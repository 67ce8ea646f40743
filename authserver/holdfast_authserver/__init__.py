"""The authorization server: RFC 6749 token issuing with RFC 8705 in full.

Knows clients and policies as values, never Kubernetes.
"""

import os
from pathlib import Path

# OpenSSL reads this when `cryptography` is first imported, so it has to stand before every other import of a server's
# process. Where it comes too late, or an administrator has set another file, tickets are sent that resume nothing.
os.environ.setdefault("OPENSSL_CONF", str(Path(__file__).with_name("openssl.cnf")))
