# SPDX-License-Identifier: ISC
#
# The same as awsenv.sh for zsh: the end of /etc/zsh/zlogin, or of ~/.zlogin.

if [[ -o interactive ]]; then
    () {
        setopt local_options local_traps
        local wait=3
        [[ -t 2 && -n $AWSENV_SOCK && $AWSENV_SHOWN != 1 ]] || return
        (( $+commands[awsenv] )) || return
        [[ -z $AWSENV_SHOWN ]] || wait=0
        trap : INT
        awsenv login --show-pending --wait $wait || :
    }
    unset AWSENV_SHOWN
fi
