module giro/clients

go 1.19

require github.com/tigerbeetle/tigerbeetle-go v0.17.9
