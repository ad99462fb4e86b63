"""What was decided about issuers and tokens, judged before anything starts: all faults, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from resource_api.security.claims import is_guid
from resource_api.security.introspection import Introspection
from resource_api.security.issuers import Issuer, is_safe_url
from resource_api.security.rules import PROFILE_NAMES, TokenRules
from resource_api.security.signature import ALGORITHMS

_EXAMPLE_TENANT = "00000000-0000-0000-0000-000000000000"


def configuration_faults(issuers: Sequence[Issuer], rules: TokenRules) -> list[str]:
    """Every reason why this could not work, or would not protect, each with its cure."""
    faults = [fault for issuer in issuers for fault in _issuer_faults(issuer)]
    if not issuers:
        faults.append("issuers is empty. Cure: name the issuer whose tokens are accepted, exactly as its metadata does")
    if len({issuer.identifier for issuer in issuers}) != len(issuers):
        faults.append("issuers names one issuer twice. Cure: name each once")
    if len(issuers) > 1 and rules.profile != "entra-v2":
        faults.append(
            f"issuers names {len(issuers)} issuers, and profile {rules.profile} knows an owner by sub, which is unique "
            "only within one. Cure: run one API per issuer, or use profile entra-v2, where oid is unique"
        )
    return [*faults, *_template_faults(issuers, rules), *_rule_faults(rules), *_tenant_faults(rules)]


def resource_faults(resource: str | None) -> list[str]:
    """Why a resource identifier cannot be one (RFC 9728 1.2)."""
    if resource is None or (is_safe_url(resource) and not set(resource) & set('?#{}"\\ ')):
        return []
    return [f"resource: {resource!r} is no resource identifier. Cure: this API's public https URL, without a query"]


def introspection_faults(
    introspection: Introspection | None, issuers: Sequence[Issuer], rules: TokenRules
) -> Iterator[str]:
    """Why opaque tokens could not be asked about, or would be understood wrongly (RFC 7662 4)."""
    if introspection is None:
        return
    if not is_safe_url(introspection.url):
        yield f"introspection_url: {introspection.url!r} may not be asked. Cure: an https URL, or http on the loopback"
    if not introspection.client_id or not introspection.client_secret:
        yield "introspection_client_id or its secret is empty. Cure: a client of this API's own (RFC 7662 2.1)"
    if rules.profile == "entra-v2" or len(issuers) != 1:
        yield "introspection_url needs one issuer, and profile rfc9068 or jwt. Cure: remove it (no opaque tokens)"


def well_known_url(resource: str) -> str:
    """Where the metadata of a resource is: the well-known path goes before the resource's own (RFC 9728 3.1)."""
    parts = urlsplit(resource)
    path = parts.path if parts.path != "/" else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{path}"


def _issuer_faults(issuer: Issuer) -> Iterator[str]:
    for name, url in (
        ("issuers", issuer.of_tenant(_EXAMPLE_TENANT).identifier),
        ("metadata_url", issuer.metadata_url),
        ("jwks_uri", issuer.jwks_uri),
    ):
        if url is not None and not is_safe_url(url):
            yield f"{name}: {url!r} may not be fetched. Cure: an https URL, or http on this machine's loopback"
    if "?" in issuer.identifier or "#" in issuer.identifier:
        yield f"issuers: {issuer.identifier!r} has a query or a fragment (RFC 8414 2). Cure: remove it"


def _template_faults(issuers: Sequence[Issuer], rules: TokenRules) -> Iterator[str]:
    """A template lets in whoever is listed; without a list it would let in every tenant there is."""
    templates = [issuer.identifier for issuer in issuers if issuer.is_template]
    if templates and rules.profile != "entra-v2":
        yield (
            f"issuers: {templates[0]!r} is a template over tenants, which only profile entra-v2 checks against tid. "
            "Cure: name each issuer, or change the profile"
        )
    elif templates and not rules.tenants:
        yield (
            f"issuers: {templates[0]!r} would accept every tenant. Cure: name those you mean in tenant_allow_list, "
            "by their GUIDs"
        )


def _rule_faults(rules: TokenRules) -> Iterator[str]:
    if not rules.audience.strip():
        yield "audience is empty. Cure: this API's client id, or the identifier its tokens carry as aud"
    if rules.profile not in PROFILE_NAMES:
        yield f"profile {rules.profile!r} is unknown. Cure: one of {', '.join(PROFILE_NAMES)}"
    unknown = sorted(rules.algorithms - ALGORITHMS.keys())
    if unknown or not rules.algorithms:
        yield f"algorithms {unknown} cannot be verified. Cure: some of {', '.join(ALGORITHMS)}"
    if rules.client_names_audience and (rules.profile != "jwt" or not rules.clients):
        yield (
            "client_names_audience needs profile jwt and a client_allow_list: without aud, only the client says for "
            "whom a token is. Cure: list the clients, or remove it"
        )


def _tenant_faults(rules: TokenRules) -> Iterator[str]:
    if rules.tenants and rules.profile != "entra-v2":
        yield "tenant_allow_list needs tid, which only profile entra-v2 checks. Cure: remove it, or change the profile"
    elif wrong := sorted(tenant for tenant in rules.tenants if not is_guid(tenant) or tenant != tenant.lower()):
        yield f"tenant_allow_list: {wrong[0]!r} is no tenant's GUID in lower case. Cure: the tenant's id, not its name"
