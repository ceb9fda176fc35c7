# What the standing orders of order.asc come to, one of each: KIND KEY COUNT TOTAL for each
# category, each account that pays and each bank that is paid, totals in haleru. A reader that
# shares nothing with the one in berka_year_test.c.

BEGIN {
    FS = ";"
}

NR > 1 {
    gsub(/["\r]/, "")
    if (NF != 6 || $5 !~ /^[0-9]+\.[0-9][0-9]$/) {
        printf "order.asc:%d: not an order\n", NR >"/dev/stderr"
        exit 1
    }
    sub(/\./, "", $5) # haleru: whole numbers, which are exact here below 2^53
    add("category", $6 == " " ? "OTHER" : $6, $5)
    add("account", $2, $5)
    add("bank", $3, $5)
}

END {
    for (key in count)
        printf "%s %d %.0f\n", key, count[key], total[key]
}

function add(kind, key, amount) {
    count[kind " " key]++
    total[kind " " key] += amount
}
