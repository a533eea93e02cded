# SPDX-License-Identifier: ISC
"""What the agent gave stands in the journal of a booted system, beyond what
journald lets one user's services say."""
import re

from agent import until

MANY = 300
BURST = 20


def limit(box):
    """A journald that takes few lines, and knows how many of them it left."""
    conf = box.path("/etc/systemd/journald.conf.d/few.conf")
    conf.parent.mkdir(exist_ok=True)
    conf.write_text(f"[Journal]\nRateLimitIntervalSec=1h\n"
                    f"RateLimitBurst={BURST}\n")
    box.run("systemctl", "restart", "systemd-journald")


def no_limit(box):
    """As awsenv(1) has it."""
    page = box.run("zcat", "/usr/share/man/man1/awsenv.1.gz").stdout
    path = re.search(r"^\.Pa (/etc/systemd/system/user@.*)$", page, re.M)[1]
    line = re.search(r"^\.Dl (LogRateLimit.*)$", page, re.M)[1]
    conf = box.path(path)
    conf.parent.mkdir(exist_ok=True)
    conf.write_text(f"[Service]\n{line}\n")
    box.run("systemctl", "daemon-reload")


def gave(box, user, after):
    return box.journal("-o", "cat", "--output-fields=MESSAGE", "-q",
                       f"--since=@{after}", "AWSENV_EVENT=gave",
                       f"_UID={user.uid}").splitlines()


def use(user):
    user.ssh(f"for n in $(seq {MANY}); do awsenv process -p marketing; done")


def test_what_was_given_is_in_the_journal_whatever_its_limit(box, sim, ann):
    no_limit(box)
    limit(box)
    after = box.run("date", "+%s").stdout.strip()
    with ann.session():
        ann.log_in_at_aws(sim)
        use(ann)
        until(lambda: len(gave(box, ann, after)) >= MANY, 60,
              "lines are missing")
        lines = gave(box, ann, after)
        assert len(lines) == MANY
        assert all(re.match(r"gave ASIA\w+ of marketing \(account ", line)
                   for line in lines)
