//! The scripts: each registers a function that asks this program.

use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};

use super::VARIABLE;
use crate::cli::Shell;

/// A shell's script.
///
/// Those of fish, elvish and PowerShell are `clap_complete`'s. bash parts words at `:` and `=`, and
/// zsh hands over words as they were quoted; targets and conditions have both, so theirs are ours.
pub(super) fn of(shell: Shell) -> String {
    let registration: &dyn EnvCompleter = match shell {
        Shell::Bash => return BASH.to_owned(),
        Shell::Zsh => return ZSH.to_owned(),
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
    };
    let mut script = b"# Completion of tcpctl, made by: tcpctl completions\n".to_vec();
    // Into memory, which takes everything.
    let _ = registration.write_registration(VARIABLE, "tcpctl", "tcpctl", "tcpctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    let lines = script.lines().map(str::trim_end);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

const BASH: &str = r#"# Completion of tcpctl, made by: tcpctl completions
_tcpctl() {
    # Words as they are on the line: bash also parts them at : and =.
    local rest=${COMP_LINE:0:COMP_POINT} words=() count=0 apart word i
    [[ -n $rest ]] || rest="${COMP_WORDS[*]:0:COMP_CWORD+1}"
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]} apart=''
        while [[ $rest == [[:space:]]* ]]; do
            rest=${rest:1} apart=yes
        done
        # The last one as far as the cursor.
        ((i < COMP_CWORD)) || word=$rest
        rest=${rest#"$word"}
        if [[ -z $apart && $i -gt 0 && ($word == [:=]* || ${COMP_WORDS[i - 1]} == *[:=]) ]]; then
            words[count - 1]+=$word
        else
            words[count]=$word
            count=$((count + 1))
        fi
    done
    # A quote that was opened is not a part of the word, and nothing in it parts words.
    local begun=${words[count - 1]} breaks=${COMP_WORDBREAKS//[^:=]/} quoted='' kept=''
    if [[ $begun == [\'\"]* ]]; then
        begun=${begun:1} quoted=yes
        words[count - 1]=$begun
    elif [[ -n $breaks ]]; then
        kept=${begun%"${begun##*["$breaks"]}"}
    fi
    COMPREPLY=()
    while IFS= read -r word; do
        # Not a file that was found can run anything: what the shell would read as more than a word
        # is quoted.
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
    # Words without their quotes, the last one as far as the cursor.
    answers=("${(@f)$(TCPCTL_COMPLETE=zsh tcpctl -- \
        "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for answer in "${(@)answers:#}"; do
        case $answer in
            # It goes on: no space after it.
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
