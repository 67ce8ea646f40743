"""Envoy in front of the product: it ends mutual TLS and hands the client's certificate on in X-Forwarded-Client-Cert.

Owns Envoy's configuration for the comparison. Must not know the product's settings. Neighbour: `servers` starts both.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.scenario import Scenario

_TYPE = "type.googleapis.com/envoy.extensions"


def configuration(scenario: Scenario, port: int, socket: Path) -> str:
    """One listener on 127.0.0.1, one upstream on a Unix socket. JSON is YAML as far as Envoy is concerned."""
    listener = {
        "name": "mtls",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"transport_socket": _tls(scenario), "filters": [_http()]}],
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    cluster = {
        "name": "authserver",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "authserver", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


def _tls(scenario: Scenario) -> dict[str, Any]:
    """Any client certificate is taken and handed on: the authorization server judges it."""
    pair = {
        "certificate_chain": {"filename": str(scenario.server("tls.crt"))},
        "private_key": {"filename": str(scenario.server("tls.key"))},
    }
    validation = {
        "trusted_ca": {"filename": str(scenario.client("ca.crt"))},
        "trust_chain_verification": "ACCEPT_UNTRUSTED",
    }
    versions = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
            "disable_stateless_session_resumption": True,
            "common_tls_context": {
                "tls_certificates": [pair],
                "validation_context": validation,
                "tls_params": versions,
            },
        },
    }


def _http() -> dict[str, Any]:
    router = {"@type": f"{_TYPE}.filters.http.router.v3.Router"}
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "authserver"}}]}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "mtls",
            "generate_request_id": False,
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": {"cert": True, "chain": True},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
            "route_config": {"virtual_hosts": [host]},
        },
    }
