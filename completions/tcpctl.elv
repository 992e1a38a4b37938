# Completion of tcpctl, made by: tcpctl completions
set edit:completion:arg-completer[tcpctl] = { |@words|
    var index = (count $words)
    set index = (- $index 1)
    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) TCPCTL_COMPLETE="elvish" tcpctl -- $@words) | to-lines
}
