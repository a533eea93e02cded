# SPDX-License-Identifier: ISC
"""awsenv-profile and botocore read the same files and must agree.

botocore's own code is the judge: its file loader, its SSO provider and its
role provider say what a profile stands for; its endpoint rules say which
hosts. Where we differ on purpose, DIFFERENCES says so, and nothing else may.
"""

import glob
import itertools
import json
import os
import random
import re

import botocore
import botocore.configloader
import botocore.credentials
import botocore.exceptions
import pytest
from botocore.endpoint_provider import EndpointProvider

import reader
import wire

DIFFERENCES = {
    "comment": "a comment behind a value is cut (the SDKs' specification); "
               "botocore keeps it",
    "default": "[profile default] goes before [default] (specification); for "
               "botocore the later one counts",
    "spelling": "[profile x] and [profile 'x'] are joined; for botocore the "
                "later one counts",
    "mfa": "no MFA codes today",
    "gov-fips": "in aws-us-gov the plain name is the FIPS name for oidc and "
                "portal by the rules of newer releases than Debian 12's",
}
WHERE = ("sso_start_url", "sso_region")
SHAPES = {
    "sso_account_id": r"[0-9]{12}",
    "sso_role_name": r"[A-Za-z0-9_+=,.@-]{1,64}",
    "sso_region": r"[a-z]{2,}(-[a-z0-9]+)+",
    "sso_start_url": r"https://[^\s\"'`<>\\^{|}@]+",
}


# ---- what botocore makes of a file

class Judge(botocore.credentials.AssumeRoleProvider):
    """What one profile stands for, by botocore's own resolution."""

    def __init__(self, full, name):
        super().__init__(lambda: full, None, {}, name,
                         profile_provider_builder=self)
        self.full, self.name = full, name
        self.roles, self.sso = [], None

    def _get_role_config(self, profile_name):
        config = super()._get_role_config(profile_name)
        self.roles.insert(0, config)
        return config

    def providers(self, profile_name, disable_env_vars=False):
        """As botocore's builder: who gives credentials to a source profile."""
        judge = self

        class Ends:
            METHOD = "end"
            CANONICAL_NAME = None

            def load(self):
                profile = judge.full["profiles"][profile_name]
                if "web_identity_token_file" in profile:
                    return None
                judge.sso = judge.load_sso(profile_name)
                return judge.sso and botocore.credentials.Credentials("a", "b")
        return [Ends()]

    def load_sso(self, name):
        provider = botocore.credentials.SSOProvider(
            lambda: self.full, None, name, cache={}, token_cache={})
        return provider._load_sso_config()

    def decide(self):
        """The SSO configuration, or None: not an SSO profile."""
        profile = self.full["profiles"][self.name]
        if self.load() is None and "web_identity_token_file" not in profile:
            self.sso = self.load_sso(self.name)
        return self.sso


def judged(full, name):
    """(sso, roles, None), or (None, [], why not)."""
    judge = Judge(full, name)
    try:
        sso = judge.decide()
    except (botocore.exceptions.BotoCoreError, KeyError) as error:
        return None, [], str(error)
    if not sso:
        return None, [], "not an SSO profile"
    return sso, judge.roles, None


def cut(value):
    """A loaded file without comments behind values: DIFFERENCES["comment"]."""
    if isinstance(value, dict):
        return {k: cut(v) for k, v in value.items()}
    if "\n" in value:
        return value
    return re.split(r"[ \t][#;]", value, maxsplit=1)[0].rstrip()


def well_formed(sso, roles):
    """Does every value pass the alphabets that we, but not botocore, apply?"""
    if not all(re.fullmatch(shape, sso[key], re.A)
               for key, shape in SHAPES.items()):
        return False
    shapes = {"role_arn": r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+",
              "external_id": r"[\w+=,.@:/-]{2,1224}",
              "role_session_name": r"[\w+=,.@-]{2,64}"}
    return all(re.fullmatch(shape, role[key], re.A) for role in roles
               for key, shape in shapes.items() if role[key] is not None)


def tangled(path, full):
    """Names on which we differ on purpose, by the section headers."""
    raw = botocore.configloader.raw_config_parse(str(path))
    words = [re.sub(r"['\"\s]+", " ", key).strip() for key in raw]
    names = {word for word in words if words.count(word) > 1}
    out = {word.split(" ", 1)[-1] for word in names}
    if "default" in words and "profile default" in words:
        out.add("default")
    return out


# ---- one file, both readers

def region_is_bad(full, name):
    region = full["profiles"][name].get("region", "")
    return bool(region) and not re.fullmatch(
        SHAPES["sso_region"], region)


def compare(path, counts):
    try:
        full = cut(botocore.configloader.load_config(str(path)))
    except botocore.exceptions.ConfigParseError:
        counts["refused"] += 1
        reader.read(path)       # must still end well
        return
    counts["accepted"] += 1
    table = reader.read(path)
    left_out = tangled(path, full)
    for name in full["profiles"]:
        sources = {name}
        for profile in full["profiles"].values():
            sources.add(str(profile.get("source_profile")))
            sources.add(str(profile.get("sso_session")))
        if sources & left_out:
            continue
        compare_profile(path, full, table, name, counts)


def compare_profile(path, full, table, name, counts):
    sso, roles, why = judged(full, name)
    ours = table.profiles.get(name)
    place = (path.read_text(errors="replace"), name)
    if why:
        counts["theirs no"] += 1
        assert ours is None or ours.error or accepted_anyway(
            full, name, why), (place, why)
        return
    unusual = any(r["mfa_serial"] or r["credential_source"] for r in roles)
    if unusual or not well_formed(sso, roles) or region_is_bad(full, name):
        counts["refused values"] += 1
        assert ours.error == wire.AW_CONFIG, place
        return
    assert ours is not None and ours.error == wire.AW_OK, (place, ours)
    counts["both"] += 1
    facts = table.sessions[ours.session].facts
    assert ours.account.decode() == sso["sso_account_id"], place
    assert ours.role.decode() == sso["sso_role_name"], place
    assert facts.region.decode() == sso["sso_region"], place
    # Which spelling of a URL counts is ours to say for profiles that share.
    assert facts.start_url.decode().rstrip(
        "/#") == sso["sso_start_url"].rstrip("/#"), place
    if "sso_session" in sso:
        assert table.sessions[ours.session].name.decode() == sso[
            "sso_session"], place
    assert [s.role_arn.decode() for s in ours.chain] == [
        r["role_arn"] for r in roles], place
    counts["chains"] += len(roles) > 0
    assert ours.region.decode() == full["profiles"][name].get(
        "region", ""), place


def accepted_anyway(full, name, why):
    """What we read and botocore does not: other tools' words, and keys other
    than the place that stand both in a profile and in its session."""
    for profile in full["profiles"].values():
        if any(k in profile for k in ("include_profile", "parent_profile",
                                      "credential_process")):
            return True
        if any(k.startswith("granted_") for k in profile):
            return True
    inconsistent = re.search(r"value for (\S+) is inconsistent", why)
    return bool(inconsistent) and inconsistent[1] not in WHERE


# ---- many files

URLS = ["https://corp.awsapps.com/start", "https://other.awsapps.com/start#/",
        "https://corp.awsapps.com/start/", "http://plain.example/start",
        "https://corp.awsapps.com/start # home"]
POOL = {
    "sso_session": ["corp", "other", "nowhere", "big corp", ""],
    "sso_start_url": URLS,
    "sso_region": ["eu-west-1", "us-east-1", "cn-north-1", "frankfurt",
                   "eu-west-1 ; home"],
    "sso_account_id": ["111111111111", "000000000002", "12345", "\"1\""],
    "sso_role_name": ["Dev", "Read=Only", "My Role", "x+y@z.,-_"],
    "region": ["eu-west-1", "us-gov-west-1", ""],
    "role_arn": ["arn:aws:iam::222222222222:role/One",
                 "arn:aws-cn:iam::333333333333:role/p/Two", "nonsense"],
    "source_profile": ["a", "b", "default", "nobody", "my own"],
    "credential_source": ["Environment"],
    "mfa_serial": ["arn:aws:iam::1:mfa/x"],
    "external_id": ["abc:def"],
    "duration_seconds": ["1800", "7200", "soon"],
    "aws_access_key_id": ["AKIA"],
    "web_identity_token_file": ["/x"],
    "output": ["json", "text # c"],
    "s3": ["\n  addressing_style = path\n  a = b", ""],
}
LIKELY = ["sso_session", "sso_account_id", "sso_role_name"]
LEGACY = ["sso_start_url", "sso_region", "sso_account_id", "sso_role_name"]
HEADERS = ["[default]", "[profile a]", "[profile  b ]", "[profile\tb]",
           "[profile 'my own']", "[profile \"my own\"]", "[profile a b]",
           "[profile default]", "[profilefoo c]", "[c]", "[DEFAULT]",
           "[plugins]", "[profile x]y]", "[profile d] ; comment", "[profile d]",
           "[sso-session corp]", "[sso-session other]",
           "[sso-session 'big corp']", "[services lab]", "[profile 'open]"]


def spell(rng, key, value, indent):
    key = rng.choice([key] * 8 + [key.upper(), key.title()])
    mark = rng.choice(["=", " = ", " = ", " : ", ":", "\t=\t"])
    return indent + key + mark + value + rng.choice([""] * 6 + [" ", "\t"])


def section(rng, header):
    session = header.startswith("[sso-session")
    keys = list(WHERE) if session else rng.choice(
        [LIKELY, LIKELY, LEGACY, ["role_arn", "source_profile"]])[:]
    if rng.random() < 0.12 and keys:
        keys.remove(rng.choice(keys))
    keys += rng.sample(sorted(POOL), rng.choice([0] * 6 + [1, 1, 2]))
    indent = rng.choice(["", "", "", "  ", "\t"])
    yield header
    for key in dict.fromkeys(keys):
        if rng.random() < 0.15:
            yield rng.choice(["", "# c = d", "  ; e", "   "])
        # Mostly the first, which is the good one.
        value = rng.choice(POOL[key] + POOL[key][:1] * 15)
        yield spell(rng, key, value, indent)
        if rng.random() < 0.005:
            yield indent + rng.choice(["   goes on", "  k = v", "junk", "[x"])


def make_file(rng):
    lines = []
    headers = rng.sample(HEADERS, rng.randint(3, 12))
    for usual in ("[sso-session corp]", "[profile a]"):
        if usual not in headers and rng.random() < 0.8:
            headers.append(usual)
    for header in headers:
        lines += section(rng, header)
    end = rng.choice(["\n"] * 8 + ["\r\n", "\r"])
    return end.join("\n".join(lines).split("\n")) + rng.choice(["", end])


@pytest.mark.quick
def test_botocore_and_awsenv_read_random_files_alike(tmp_path):
    rng = random.Random(20260921)
    counts = dict.fromkeys(["refused", "accepted", "both", "theirs no",
                            "refused values", "chains"], 0)
    path = tmp_path / "config"
    for _ in range(800):
        path.write_bytes(make_file(rng).encode())
        compare(path, counts)
    # The generator must really reach all of it.
    assert counts["accepted"] > 500 and counts["refused"] > 50, counts
    assert counts["both"] > 600 and counts["chains"] > 60, counts
    assert counts["refused values"] > 60 and counts["theirs no"] > 300, counts


@pytest.mark.quick
def test_botocore_and_awsenv_read_the_cases_alike():
    counts = dict.fromkeys(["refused", "accepted", "both", "theirs no",
                            "refused values", "chains"], 0)
    for path in sorted((wire.TOP / "tests/data/profile").glob("*.config")):
        # Endpoints, CAs and scopes are no business of the loader's.
        if not re.search(r"# env:|endpoint_url|ca_bundle|drop",
                         path.read_text(errors="replace")):
            compare(path, counts)
    assert counts["accepted"] >= 6 and counts["both"] >= 20, counts


# ---- endpoints

SERVICES = {"sso-oidc": "oidc", "sso": "portal", "sts": "sts"}
REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-3", "me-central-1",
           "cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1",
           "us-iso-east-1", "us-isob-east-1", "xx-foo-1", "af-south-1"]


def rules_of(service):
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    rules, = glob.glob(f"{data}/{service}/*/endpoint-rule-set-1.json")
    with open(rules) as f, open(f"{data}/partitions.json") as p:
        return EndpointProvider(json.load(f), json.load(p))


@pytest.mark.quick
def test_hosts_are_those_of_botocores_endpoint_rules(tmp_path):
    lines, wanted = [], {}
    rules = {service: rules_of(service) for service in SERVICES}
    for region, fips, dual in itertools.product(
            REGIONS, (False, True), (False, True)):
        name = f"{region}-{fips}-{dual}"
        lines.append(f"""[profile {name}]
sso_start_url = https://corp.awsapps.com/start
sso_region = {region}
sso_account_id = 111111111111
sso_role_name = Dev
use_fips_endpoint = {fips}
use_dualstack_endpoint = {dual}
""")
        for service, ours in SERVICES.items():
            more = {"UseGlobalEndpoint": False} if service == "sts" else {}
            try:
                wanted[name, ours] = rules[service].resolve_endpoint(
                    Region=region, UseFIPS=fips, UseDualStack=dual, **more).url
            except botocore.exceptions.EndpointProviderError:
                assert dual or fips     # a partition that has none
    path = tmp_path / "config"
    path.write_text("\n".join(lines))
    table = reader.read(path)
    assert len(wanted) > 100
    for (name, ours), url in wanted.items():
        facts = table.session_of(name).facts
        found = table.profiles[name].sts if ours == "sts" else facts[ours]
        if ours != "sts" and name.startswith("us-gov") and \
                name.endswith("True-False"):
            url = url.replace("-fips.", ".")        # DIFFERENCES["gov-fips"]
        assert found.decode() == url, (name, ours)


@pytest.mark.quick
def test_legacy_sts_is_global_for_the_regions_of_botocores_rules(tmp_path):
    sts = rules_of("sts")
    regions = REGIONS + ["us-west-1", "us-west-2", "us-east-2", "sa-east-1",
                         "eu-central-1", "eu-south-1", "ap-northeast-3",
                         "ca-central-1", "ap-south-1", "aws-global"]
    path = tmp_path / "config"
    path.write_text("".join(f"""[profile {region}]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 111111111111
sso_role_name = Dev
region = {region}
sts_regional_endpoints = legacy
""" for region in regions))
    table = reader.read(path)
    for region in regions:
        endpoint = sts.resolve_endpoint(
            Region=region, UseFIPS=False, UseDualStack=False,
            UseGlobalEndpoint=True)
        profile = table.profiles[region]
        assert profile.sts.decode() == endpoint.url, region
        scheme, = endpoint.properties["authSchemes"]
        assert profile.sts_region.decode() == scheme["signingRegion"]
