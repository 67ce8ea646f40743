"""The closed set of reasons for which a request is refused: the word in the audit log and in metrics, and what it means.

Owns the words. More precise than an OAuth error code, which a caller may read; a caller never reads these. What exactly was
expected and found stands beside the word, as the error's `detail`. Must not know who raises what: see `errors`.
"""

from holdfast.explained import Explained


class Refusal(Explained):
    """Why not. A label of metrics: a word that is not here does not exist. `meaning`: for people, one sentence."""

    UNSPECIFIED = ("unspecified", "The error code says all.")

    # The request itself
    MALFORMED_REQUEST = ("malformed_request", "The request is not as its specification has it.")
    UNKNOWN_PATH = ("unknown_path", "Nothing is served at this path.")
    METHOD_NOT_ALLOWED = ("method_not_allowed", "The path is served, this method is not.")
    REQUEST_TOO_LARGE = ("request_too_large", "The body is longer than any request has to be.")
    UNSUPPORTED_ENCODING = ("unsupported_encoding", "The body is compressed or of another character set.")
    HEADER_TOO_LARGE = ("header_too_large", "Request line and headers together are too long.")
    MALFORMED_CERTIFICATE_HEADER = (
        "malformed_certificate_header",
        "The terminator's certificate header is not in the one configured format.",
    )

    # Who is asking
    SEVERAL_METHODS = ("several_methods", "The request authenticates in several ways; one is allowed.")
    UNKNOWN_CLIENT = ("unknown_client", "No client of this id is registered.")
    CLIENT_SUSPENDED = ("client_suspended", "The client is registered and suspended.")
    WRONG_METHOD = ("wrong_method", "The request does not use the method that the client is registered with.")
    METHOD_NOT_SERVED = ("method_not_served", "The client is registered with a method that this server does not offer.")
    THROTTLED = ("throttled", "There were too many failed attempts from this address for this client.")

    # By certificate
    NO_CERTIFICATE = ("no_certificate", "The connection has no client certificate.")
    CERTIFICATE_MALFORMED = ("certificate_malformed", "The certificate cannot be read.")
    CERTIFICATE_DENIED = ("certificate_denied", "A policy denies this very certificate.")
    CERTIFICATE_REVOKED = ("certificate_revoked", "The issuer has revoked the certificate.")
    CERTIFICATE_EXPIRED = ("certificate_expired", "The certificate is outside its validity period.")
    REVOCATION_UNKNOWN = ("revocation_unknown", "The policy demands a current revocation list, and there is none.")
    NO_PATH = ("no_path", "The certificate does not lead to a trust anchor of this client, or breaks a rule on the way.")
    SUBJECT_MISMATCH = ("subject_mismatch", "The certificate holds another subject than the registered one.")
    CERTIFICATE_NOT_REGISTERED = (
        "certificate_not_registered",
        "The certificate is none of those that the client registered.",
    )
    KEYS_UNAVAILABLE = ("keys_unavailable", "The client's keys cannot be fetched, and none are kept from before.")

    # By assertion
    ASSERTION_MALFORMED = ("assertion_malformed", "The client assertion is no JWT of the expected form.")
    ASSERTION_SIGNATURE = ("assertion_signature", "No registered key of the client made the assertion's signature.")
    ASSERTION_CLAIMS = ("assertion_claims", "The assertion is another client's, for another server, too old or too long.")
    ASSERTION_REPLAYED = ("assertion_replayed", "The assertion was used before.")
    ASSERTION_FORGOTTEN = (
        "assertion_forgotten",
        "The assertion may be older than the registry, and nobody knows any more whether it was used before.",
    )

    # What is asked for
    POLICY = ("policy", "A policy forbids it; the detail names which rule.")
    NO_BINDING = ("no_binding", "The token has to be bound, and the connection has no certificate to bind it to.")
    GRANT_TYPE = ("grant_type", "The grant type is not served, or not the client's.")
    SCOPE = ("scope", "The scope is malformed or more than the client may have.")
    RESOURCE = ("resource", "The resource is malformed, unknown or not for this client.")
    FOREIGN_TOKEN = ("foreign_token", "The token is another client's.")

    # The server's own state
    REGISTRY_UNCONFIRMED = ("registry_unconfirmed", "The registry was just opened and waits for the operator.")
    HANDED_OVER = ("handed_over", "Another object had the client id until a moment ago; its tokens have to be told apart.")
    REGISTRY_STALE = ("registry_stale", "The registry was not seen for longer than the stated bound.")
    REGISTRY_UNAVAILABLE = ("registry_unavailable", "The registry cannot be written to at this moment.")
    SIGNING_KEY = ("signing_key", "There is no signing key to be had.")
    NOT_READY = ("not_ready", "The server cannot answer at this moment.")
    DEFECT = ("defect", "The server failed; its log has the story under the decision id.")
