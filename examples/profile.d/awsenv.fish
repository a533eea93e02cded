# SPDX-License-Identifier: ISC
#
# The same as awsenv.sh for fish: put it into /etc/fish/conf.d.

if status is-login; and status is-interactive
    if test -t 2; and set -q AWSENV_SOCK; and not set -q AWSENV_SHOWN; and type -q awsenv
        awsenv login --show-pending --wait 3; or true
    end
    set -e AWSENV_SHOWN
end
