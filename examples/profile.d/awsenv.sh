# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# Shows the AWS login that the login to this machine began, to a person at a
# terminal: not to scp, not to commands, not while the login is good. Waits 3
# seconds for AWS at most; Ctrl-C skips it.
#
# For /etc/profile.d. zsh does not read that: source it in /etc/zsh/zlogin.

case $- in
*i*)
	if [ -t 2 ] && [ -n "${AWSENV_SOCK-}" ] && [ -z "${AWSENV_SHOWN-}" ] &&
	    command -v awsenv >/dev/null 2>&1; then
		trap : INT
		awsenv login --show-pending --wait 3 || :
		trap - INT
	fi
	unset AWSENV_SHOWN
	;;
esac
