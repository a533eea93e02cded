# SPDX-License-Identifier: ISC
#
# The same as awsenv.sh for fish: put it into /etc/fish/conf.d.

if status is-login; and status is-interactive
    if test -t 2; and set -q AWSENV_SOCK; and test "$AWSENV_SHOWN" != 1; and type -q awsenv
        set -l wait 3
        set -q AWSENV_SHOWN; and set wait 0
        awsenv login --show-pending --wait $wait; or true
    end
    set -e AWSENV_SHOWN
end
