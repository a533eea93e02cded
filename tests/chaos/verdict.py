# SPDX-License-Identifier: ISC
"""What happened, in figures, and whether that is what we want."""

import collections
import json
import re
import statistics
import urllib.parse

from agent import until

GROWTH_KB, GROWTH_FDS = 256, 0
EARLIER = 2     # seconds: a call may have begun before the command joined it
LATE = 60       # ... or its end be seen so long after it; no port is used anew
OF_AWS = (5, 6, 125)    # exit statuses that may be AWS's doing ...
OURS = re.compile("login needed|agent|config|keyring")     # ... but not these
ENDS_LOGIN = {"InvalidGrantException"}
DEATH = r"([\w-]+) (\d+) (was killed by signal \d+|ended with status \d+)"
NOT_WELL = re.compile("Sanitizer|runtime error:")


class Call:
    def __init__(self, row):
        self.operation, self.fault = row["operation"], row["fault"]
        self.begun = row["time"]
        self.ended = row["time"] + row.get("seconds", 0)
        self.status, self.error = row["status"], row["error"]
        self.gone, self.port = row["gone"], row["port"]
        query = urllib.parse.parse_qs(row.get("query") or "")
        self.account = query.get("account_id", [None])[0]
        self.grant = ""
        if self.operation == "CreateToken":
            self.grant = json.loads(row["body"]).get("grantType", "")

    def __str__(self):
        return (f"{self.operation} {self.account} {self.begun:.3f} to "
                f"{self.ended:.3f}, {self.fault or self.status}")


class Calls:
    """All that was asked of AWS. cut: the ports of the connections that ended
    with who was killed, and when; None where that could not be seen."""

    def __init__(self, sim, cut):
        with open(sim.dir / "requests.jsonl", encoding="utf-8") as f:
            self.all = [Call(json.loads(line)) for line in f]
        self.cut = cut
        self.keys = {k["id"]: k["account"] for k in sim.keys()}
        self.roles = collections.defaultdict(list)
        for call in self.all:
            if call.operation == "GetRoleCredentials":
                self.roles[call.account].append(call)
        self.others = [c for c in self.all
                       if c.operation != "GetRoleCredentials" and c.fault]

    def reason(self, account, begun, ended):
        """The fault that a command met, if there was one."""
        for call in reversed(self.roles[account] + self.others):
            if call.fault and call.begun < ended and \
                    call.ended > begun - EARLIER:
                return f"{call.operation}: {call.fault}"
        return None

    def logins(self):
        return sum(c.status == 200 and c.fault is None and
                   c.grant.endswith("device_code") for c in self.all)

    def lost(self):
        """Rotated tokens whose successor was lost with its bearer: then AWS
        refuses, by its protocol."""
        return sum(c.error in ENDS_LOGIN for c in self.all
                   if c.operation == "CreateToken")

    def renewed(self):
        return sum(c.status == 200 and c.grant == "refresh_token"
                   for c in self.all)

    def excused(self, call):
        """Its end was the end of who asked, who was killed."""
        if not call.gone or self.cut is None:
            return call.gone
        return any(call.begun - LATE < when < call.ended
                   for when in self.cut[call.port])

    def hung_up(self):
        """By a fetcher that nobody killed, though AWS was about to answer."""
        return [c for c in self.all
                if c.gone and not c.fault and not self.excused(c)]

    def at_once(self):
        """The same role asked for while it was being asked for: how often
        because who did so first was killed before the answer was there, and
        the other pairs."""
        pairs = [(one, two) for calls in self.roles.values()
                 for one, two in zip(calls, calls[1:])
                 if two.begun < one.ended and not one.fault]
        return (sum(self.excused(one) for one, _ in pairs),
                [pair for pair in pairs if not self.excused(pair[0])])


class Report:
    def __init__(self, sim, hanging):
        self.sim, self.good, self.lines = sim, True, []
        if not hanging:
            self.tell("homes do not hang here", "that takes root and FUSE")

    def tell(self, what, value, aim=None, good=True):
        self.good &= good
        mark = "" if aim is None else "" if good else "   <- MISSED"
        aim = "" if aim is None else f"(aim: {aim})"
        self.lines.append(f"{what:<52}{value!s:<22}{aim}{mark}")

    def show(self):
        print("\n".join(self.lines))
        print("all aims met" if self.good else "an aim was MISSED", flush=True)
        return self.good

    def same_agent(self, before, now):
        self.tell("agent", "the same" if before == now else "another",
                  "the same", before == now)

    def sizes(self, before, now, sanitized):
        """A sanitizer keeps what was freed for a while."""
        aim = "descriptors: no growth" if sanitized else "no growth"
        for name, (fds, dirty) in now.items():
            more_fds, more = fds - before[name][0], dirty - before[name][1]
            self.tell(f"{name}: descriptors, private memory",
                      f"{fds} ({more_fds:+d}), {dirty} kB ({more:+d})",
                      aim, more_fds <= GROWTH_FDS and
                      (sanitized or more <= GROWTH_KB))

    def deaths(self, log, killed):
        """Of the agent's programs, as it tells them: none but those that were
        killed."""
        told = collections.Counter()
        others = [line for line in log.split("\n") if NOT_WELL.search(line)]
        for name, pid, how in re.findall(DEATH, log):
            name = "awsenv-broker" if name == "broker" else name
            told[name] += 1
            if how != "was killed by signal 9":
                others.append(f"{name} {pid} {how}")
        others += [f"{name}: {number} were killed, of which we killed "
                   f"{killed[name]}" for name, number in told.items()
                   if number > killed[name]]
        self.tell("ended otherwise than by our kills", len(others), "none",
                  not others)
        self.lines += [f"    {line[:200]}" for line in others[:20]]

    def keys(self, quota, uid):
        """With all role credentials gone: rings, tokens, what seals the rest."""
        if uid is None:
            return
        try:
            until(lambda: quota()[0] <= 8, 20)
        except AssertionError:
            pass
        self.tell("keys at the end, of (number, bytes)", quota(),
                  "those of one login", quota()[0] <= 8)

    def trouble(self, makers):
        self.fetchers = makers.killed["awsenv-fetch"]
        for name, number in sorted(makers.killed.items()):
            what = f"{name} killed" if "-" in name else name
            self.tell(what, number)

    def commands(self, done, after, calls):
        took = sorted(d[1] - d[0] for d in done)
        failed = [d for d in done if d[3] != 0]
        ours, theirs = [], collections.Counter()
        for one in failed:
            begun, ended, account, status, _, said = one
            reason = calls.reason(account, begun, ended)
            if reason and status in OF_AWS and not OURS.search(_last(said)):
                theirs[reason] += 1
            else:
                ours.append((status, _plain(said), begun, ended, account))
        self.tell("commands", len(done))
        self.tell("seconds: median, 99 of 100, longest", " ".join(
            f"{t:.2f}" for t in (statistics.median(took),
                                 took[len(took) * 99 // 100], took[-1])))
        self.tell("failed where AWS failed", sum(theirs.values()))
        for reason, number in theirs.most_common():
            self.tell(f"    {reason}", number)
        self.tell("failed otherwise", len(ours), "none", not ours)
        classes = collections.Counter((status, said)
                                      for status, said, *_ in ours)
        for (status, said), number in classes.most_common(20):
            self.lines.append(f"    {number} x {status}: {said}")
        wrong = [d for d in (*done, *after) if d[4] and
                 calls.keys.get(d[4]) != d[2]]
        self.tell("keys of another role", len(wrong), "none", not wrong)
        bad = [d for d in after if d[3] != 0]
        self.tell("failed afterwards", f"{len(bad)} of {len(after)}", "none",
                  not bad)
        for one in bad[:3]:
            self.lines.append(f"    {one[3]}: {_plain(one[5])}")
        self._aws(calls)

    def _aws(self, calls):
        self.tell("calls to AWS", len(calls.all))
        self.tell("    that met a fault",
                  sum(c.fault is not None for c in calls.all))
        if calls.cut is None:
            self.tell("    who hung up cannot be seen", "that takes root")
        self.tell("    cut by a kill",
                  sum(calls.excused(c) for c in calls.all))
        left = calls.hung_up()
        self.tell("    hung up by who was not killed", len(left), "none",
                  not left)
        for one in left[:5]:
            self.lines.append(f"    {one}")
        gone, twice = calls.at_once()
        self.tell("    once more, as who had asked was killed", gone,
                  "no more than were killed", gone <= self.fetchers)
        self.tell("    for a role that was being asked for", len(twice),
                  "none", not twice)
        for one, two in twice[:5]:
            self.lines.append(f"    {one}, then {two}")
        self.tell("tokens renewed", calls.renewed())
        more, lost = calls.logins() - 1, calls.lost()
        self.tell("lost with a rotating refresh", lost)
        self.tell("logins beyond the first", more,
                  "none but those lost", more <= lost)


def _last(said):
    """Why it failed: what was shown of a login comes before."""
    lines = [line for line in said.split("\n") if line.startswith("awsenv: ")]
    return lines[-1] if lines else said.strip()


def _plain(said):
    said = re.sub(r"\bp\d{3}\b", "P", _last(said))
    return re.sub(r"\d+", "N", said)[:200]
