//! The completion scripts.

use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};

use super::VARIABLE;
use crate::cli::Shell;

/// The script for a shell.
///
/// fish, elvish and PowerShell use the scripts of `clap_complete`. bash splits words at `:` and `=`
/// and zsh passes quoted words; targets and conditions contain both, so these two have own scripts.
pub(super) fn of(shell: Shell) -> String {
    let registration: &dyn EnvCompleter = match shell {
        Shell::Bash => return BASH.to_owned(),
        Shell::Zsh => return ZSH.to_owned(),
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
    };
    let mut script = b"# Completion of tcpctl, made by: tcpctl completions\n".to_vec();
    // Writing to memory cannot fail.
    let _ = registration.write_registration(VARIABLE, "tcpctl", "tcpctl", "tcpctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    let lines = script.lines().map(str::trim_end);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

const BASH: &str = r#"# Completion of tcpctl, made by: tcpctl completions
_tcpctl() {
    # Words as typed: bash also splits them at : and =.
    local rest=${COMP_LINE:0:COMP_POINT} words=() count=0 spaced word i
    [[ -n $rest ]] || rest="${COMP_WORDS[*]:0:COMP_CWORD+1}"
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]} spaced=''
        while [[ $rest == [[:space:]]* ]]; do
            rest=${rest:1} spaced=yes
        done
        # The last word up to the cursor.
        ((i < COMP_CWORD)) || word=$rest
        rest=${rest#"$word"}
        if [[ -z $spaced && $i -gt 0 && ($word == [:=]* || ${COMP_WORDS[i - 1]} == *[:=]) ]]; then
            words[count - 1]+=$word
        else
            words[count]=$word
            count=$((count + 1))
        fi
    done
    # An opening quote is not part of the word, and nothing inside it splits words.
    local begun=${words[count - 1]} breaks=${COMP_WORDBREAKS//[^:=]/} quoted='' kept=''
    if [[ $begun == [\'\"]* ]]; then
        begun=${begun:1} quoted=yes
        words[count - 1]=$begun
    elif [[ -n $breaks ]]; then
        kept=${begun%"${begun##*["$breaks"]}"}
    fi
    COMPREPLY=()
    while IFS= read -r word; do
        # Quotes whatever the shell would not read as one plain word.
        if [[ -z $quoted && $word == *[!a-zA-Z0-9_./:=,@%+~[\]-]* ]]; then
            printf -v word %q "$word"
        fi
        COMPREPLY+=("${word#"$kept"}")
    done < <(TCPCTL_COMPLETE=bash tcpctl -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=,/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -o nosort -F _tcpctl tcpctl 2>/dev/null || complete -F _tcpctl tcpctl
"#;

const ZSH: &str = r#"#compdef tcpctl
# Completion of tcpctl, made by: tcpctl completions
_tcpctl() {
    local -a answers open closed
    local answer
    # Unquoted words, the last one up to the cursor.
    answers=("${(@f)$(TCPCTL_COMPLETE=zsh tcpctl -- \
        "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for answer in "${(@)answers:#}"; do
        case $answer in
            # Incomplete: no space after it.
            $'\t'*) open+=("${answer#$'\t'}") ;;
            *) closed+=("$answer") ;;
        esac
    done
    (($#closed)) && _describe -V 'tcpctl' closed
    (($#open)) && _describe -V 'tcpctl' open -S ''
    return 0
}
if [[ ${funcstack[1]} == _tcpctl ]]; then
    _tcpctl "$@"
else
    compdef _tcpctl tcpctl
fi
"#;
