# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# Shows the AWS login that the login to this machine began, to a person at a
# terminal: not to scp, not to commands, not while the login is good. Waits 3
# seconds for AWS at most, and not where login(1) has done so; Ctrl-C skips it.
#
# For /etc/profile.d. zsh and fish do not read that: awsenv.zsh, awsenv.fish.

case $- in
*i*)
	if [ -t 2 ] && [ -n "${AWSENV_SOCK-}" ] &&
	    [ "${AWSENV_SHOWN-}" != 1 ] && command -v awsenv >/dev/null 2>&1
	then
		trap : INT
		if [ -n "${AWSENV_SHOWN-}" ]; then
			awsenv login --show-pending || :
		else
			awsenv login --show-pending --wait 3 || :
		fi
		trap - INT
	fi
	unset AWSENV_SHOWN
	;;
esac
