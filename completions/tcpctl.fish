# Completion of tcpctl, made by: tcpctl completions
complete --keep-order --exclusive --command tcpctl --arguments "(TCPCTL_COMPLETE=fish tcpctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
