# Completion of tcpctl, made by: tcpctl completions
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
