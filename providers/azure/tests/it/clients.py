"""Microsoft's own clients on our server: what it answers has to be what they understand, and what it refuses too."""

import json
import os
import sys
import urllib.parse
import urllib.request
import ssl

from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.mgmt.dns import DnsManagementClient
from azure.mgmt.privatedns import PrivateDnsManagementClient

ORIGIN, CA = os.environ["ORIGIN"], os.environ["CA_FILE"]
GROUP, SUBSCRIPTION = os.environ["GROUP"], os.environ["SUBSCRIPTION"]


class Credential:
    """A token as azure-identity asks for it; that package wants to find the authority on the Internet first."""

    def get_token(self, *scopes, **_):
        form = {
            "grant_type": "client_credentials",
            "client_id": os.environ["CLIENT"],
            "client_secret": os.environ["SECRET"],
            "scope": scopes[0],
        }
        url = f"{ORIGIN}/{os.environ['TENANT']}/oauth2/v2.0/token"
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(url, data, context=ssl.create_default_context(cafile=CA)) as answer:
            return AccessToken(json.load(answer)["access_token"], 2**31)


def refused(status, call):
    try:
        call()
    except HttpResponseError as error:
        assert error.status_code == status, f"{error.status_code} instead of {status}: {error}"
        assert error.message, "the client reads no message"
        return
    raise AssertionError(f"{status} was expected")


def client(kind, version):
    return kind(
        Credential(),
        SUBSCRIPTION,
        api_version=version,
        base_url=ORIGIN,
        credential_scopes=[f"{ORIGIN}/.default"],
        connection_verify=CA,
        retry_total=0,
    )


def exercise(sets, zone, listing, keys):
    ttl, a, aaaa, cname = keys

    def put(kind, name, parameters, **conditions):
        return sets.create_or_update(GROUP, zone, *order(name, kind), parameters, **conditions)

    def order(name, kind):
        return (name, kind) if zone == "example.com" else (kind, name)

    def addresses(*values):
        return {"properties": {ttl: 60, "metadata": {"k": "v"}, a: [{"ipv4Address": value} for value in values]}}

    def same(etag):
        if zone == "example.com":
            return {"if_match": etag}
        return {"etag": etag, "match_condition": MatchConditions.IfNotModified}

    absent = {"if_none_match": "*"}
    if zone != "example.com":
        absent = {"etag": "*", "match_condition": MatchConditions.IfMissing}
    before = len(list(listing()))
    made = put("A", "www", addresses("192.0.2.1", "192.0.2.2"), **absent)
    assert made.ttl == 60 and made.metadata == {"k": "v"}, made
    assert [record.ipv4_address for record in made.a_records] == ["192.0.2.1", "192.0.2.2"]
    assert made.fqdn == f"www.{zone}.", made.fqdn
    refused(412, lambda: put("A", "www", addresses("192.0.2.3"), **absent))
    changed = put("A", "www", addresses("192.0.2.3"), **same(made.etag))
    assert changed.etag != made.etag
    refused(412, lambda: put("A", "www", addresses("192.0.2.4"), **same(made.etag)))
    refused(400, lambda: put("A", "www", addresses("192.0.2.300")))
    refused(400, lambda: put("A", "big", addresses(*[f"192.0.2.{n}" for n in range(21)])))
    alias = {"properties": {ttl: 60, cname: {"cname": "x.example.net"}}}
    refused(409, lambda: put("CNAME", "www", alias))
    refused(409, lambda: put("CNAME", "@", alias))
    assert put("CNAME", "*.foo", alias).cname_record.cname == "x.example.net"
    six = {"properties": {ttl: 60, aaaa: [{"ipv6Address": "2001:db8::1"}]}}
    assert put("AAAA", "www", six).aaaa_records[0].ipv6_address == "2001:db8::1"
    assert sets.get(GROUP, zone, *order("www", "A")).etag == changed.etag
    refused(404, lambda: sets.get(GROUP, zone, *order("none", "A")))
    found = sorted((item.type.split("/")[-1], item.name) for item in listing(top=2))
    assert len(found) == before + 3, found
    assert ("A", "www") in found and ("CNAME", "*.foo") in found, found
    refused(412, lambda: sets.delete(GROUP, zone, *order("www", "A"), **same(made.etag)))
    sets.delete(GROUP, zone, *order("www", "A"), **same(changed.etag))
    sets.delete(GROUP, zone, *order("www", "A"))
    refused(404, lambda: sets.get(GROUP.upper(), "none.example", *order("www", "A")))


public = client(DnsManagementClient, "2018-05-01")
assert public.zones.get(GROUP, "example.com").max_number_of_record_sets == 10_000
assert [zone.name for zone in public.zones.list_by_resource_group(GROUP)] == ["example.com"]
assert not list(public.zones.list_by_resource_group("other"))
exercise(
    public.record_sets,
    "example.com",
    lambda **page: public.record_sets.list_all_by_dns_zone(GROUP, "example.com", **page),
    ["TTL", "ARecords", "AAAARecords", "CNAMERecord"],
)
private = client(PrivateDnsManagementClient, "2020-06-01")
assert private.private_zones.get(GROUP, "private.example.com").name == "private.example.com"
exercise(
    private.record_sets,
    "private.example.com",
    lambda **page: private.record_sets.list(GROUP, "private.example.com", **page),
    ["ttl", "aRecords", "aaaaRecords", "cnameRecord"],
)
sys.stdout.write("both clients are content\n")
