# Completion of tcpctl, made by: tcpctl completions
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
