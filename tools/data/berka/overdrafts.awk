# The overdrafts that the bank has allowed: a limit row for each account that went below zero, as a
# statement for giro repl. Its floor is as far as the account ever went.
#
#   awk -f overdrafts.awk trans.asc | giro repl
#
# The bank's own balances would not do. They show an account below zero only where it was so at the
# end of its day, while the import takes the rows of a day in the order of the file, which may have
# what was paid out before what was paid in.

BEGIN {
    FS = ";"
}

# The public copy ends in the middle of a row.
NR > 1 && NF == 10 {
    gsub(/"/, "")
    if ($6 !~ /^[0-9]+\.[0-9][0-9]$/ || $4 !~ /^(PRIJEM|VYDAJ|VYBER)$/) {
        printf "%s:%d: not a transaction of the bank\n", FILENAME, NR >"/dev/stderr"
        failed = 1
        exit 1
    }
    sub(/\./, "", $6) # haleru: whole numbers, which are exact here below 2^53
    balance[$2] += $4 == "PRIJEM" ? $6 : -$6
    if (balance[$2] >= 0 || balance[$2] >= lowest[$2])
        next
    if (!($2 in place)) {
        place[$2] = ++count
        account[count] = $2
    }
    lowest[$2] = balance[$2]
}

END {
    if (failed || count == 0)
        exit failed
    print "set_limits"
    for (i = 1; i <= count; i++)
        printf "account_id=2:%s floor=%.0f%s\n", account[i], -lowest[account[i]],
            i < count ? "," : ";"
}
