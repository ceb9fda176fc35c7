module giro/compat

go 1.17

require github.com/tigerbeetle/tigerbeetle-go v0.17.9
