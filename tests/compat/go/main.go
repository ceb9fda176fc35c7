// The main rules through TigerBeetle's Go client, 0.17.x.
// Usage: compat ADDRESS
package main

import (
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const ledger = 700

var address = os.Args[1]

func number(value uint64) tb.Uint128 { return tb.ToUint128(value) }

func account(change ...func(*tb.Account)) tb.Account {
	a := tb.Account{ID: tb.ID(), Ledger: ledger, Code: 10}
	for _, c := range change {
		c(&a)
	}
	return a
}

func transfer(debit, credit tb.Uint128, amount uint64, change ...func(*tb.Transfer)) tb.Transfer {
	t := tb.Transfer{
		ID: tb.ID(), DebitAccountID: debit, CreditAccountID: credit, Amount: number(amount),
		Ledger: ledger, Code: 20,
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func flags(f tb.TransferFlags) func(*tb.Transfer) {
	return func(t *tb.Transfer) { t.Flags = f.ToUint16() }
}

func settle(pending tb.Uint128, amount uint64, f tb.TransferFlags) tb.Transfer {
	return tb.Transfer{ID: tb.ID(), PendingID: pending, Amount: number(amount), Flags: f.ToUint16()}
}

func equal(actual, expected interface{}) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%v instead of %v", actual, expected))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func accountsAre(c tb.Client, events []tb.Account, expected ...tb.CreateAccountStatus) []tb.CreateAccountResult {
	results, err := c.CreateAccounts(events)
	must(err)
	var statuses []tb.CreateAccountStatus
	for _, r := range results {
		statuses = append(statuses, r.Status)
		equal(r.Reserved, uint32(0))
	}
	equal(statuses, expected)
	return results
}

func transfersAre(c tb.Client, events []tb.Transfer, expected ...tb.CreateTransferStatus) []tb.CreateTransferResult {
	results, err := c.CreateTransfers(events)
	must(err)
	var statuses []tb.CreateTransferStatus
	for _, r := range results {
		statuses = append(statuses, r.Status)
		equal(r.Reserved, uint32(0))
	}
	equal(statuses, expected)
	return results
}

func pair(c tb.Client, change ...func(*tb.Account)) (tb.Uint128, tb.Uint128) {
	events := []tb.Account{account(change...), account(change...)}
	accountsAre(c, events, tb.AccountCreated, tb.AccountCreated)
	return events[0].ID, events[1].ID
}

func lookup(c tb.Client, id tb.Uint128) tb.Account {
	rows, err := c.LookupAccounts([]tb.Uint128{id})
	must(err)
	equal(len(rows), 1)
	return rows[0]
}

func balancesAre(c tb.Client, id tb.Uint128, expected ...uint64) {
	row := lookup(c, id)
	equal([]tb.Uint128{row.DebitsPending, row.DebitsPosted, row.CreditsPending, row.CreditsPosted},
		[]tb.Uint128{number(expected[0]), number(expected[1]), number(expected[2]), number(expected[3])})
}

func ids(rows []tb.Transfer) []tb.Uint128 {
	found := []tb.Uint128{}
	for _, row := range rows {
		found = append(found, row.ID)
	}
	return found
}

func reversed(rows []tb.Uint128) []tb.Uint128 {
	found := []tb.Uint128{}
	for i := len(rows) - 1; i >= 0; i-- {
		found = append(found, rows[i])
	}
	return found
}

func accountsByRule(c tb.Client) {
	one := account(func(a *tb.Account) { a.UserData64 = 5; a.Flags = tb.AccountFlags{History: true}.ToUint16() })
	results := accountsAre(c, []tb.Account{
		one, account(func(a *tb.Account) { a.ID = number(0) }),
		account(func(a *tb.Account) { a.Reserved = 1 }),
		account(func(a *tb.Account) { a.Flags = 1 << 15 }),
		account(func(a *tb.Account) { a.Ledger = 0 }),
		account(func(a *tb.Account) { a.Timestamp = 1 }), one,
		account(func(a *tb.Account) { a.ID = one.ID; a.Flags = one.Flags }),
	}, tb.AccountCreated, tb.AccountIDMustNotBeZero, tb.AccountReservedField, tb.AccountReservedFlag,
		tb.AccountLedgerMustNotBeZero, tb.AccountTimestampMustBeZero, tb.AccountExists,
		tb.AccountExistsWithDifferentUserData64)
	for i, result := range results {
		if i == 6 {
			equal(result.Timestamp, results[0].Timestamp)
		} else {
			equal(result.Timestamp, results[0].Timestamp+uint64(i))
		}
	}
	one.Timestamp = results[0].Timestamp
	rows, err := c.LookupAccounts([]tb.Uint128{tb.ID(), one.ID})
	must(err)
	equal(rows, []tb.Account{one})
}

func transfersByRule(c tb.Client) {
	one, two := pair(c)
	event := transfer(one, two, 7)
	other := event
	other.Amount = number(8)
	missing := transfer(one, tb.ID(), 1)
	results := transfersAre(c, []tb.Transfer{
		event, transfer(one, one, 1), missing, missing, event, other,
		transfer(one, two, 1, func(t *tb.Transfer) { t.Flags = 1 << 9 }),
	}, tb.TransferCreated, tb.TransferAccountsMustBeDifferent, tb.TransferCreditAccountNotFound,
		tb.TransferIDAlreadyFailed, tb.TransferExists, tb.TransferExistsWithDifferentAmount,
		tb.TransferReservedFlag)
	equal(results[4].Timestamp, results[0].Timestamp)
	event.Timestamp = results[0].Timestamp
	rows, err := c.LookupTransfers([]tb.Uint128{event.ID, one})
	must(err)
	equal(rows, []tb.Transfer{event})
	balancesAre(c, one, 0, 7, 0, 0)
}

func holds(c tb.Client) {
	one, two := pair(c)
	pending := flags(tb.TransferFlags{Pending: true})
	events := []tb.Transfer{transfer(one, two, 10, pending), transfer(one, two, 20, pending),
		transfer(one, two, 40, pending, func(t *tb.Transfer) { t.Timeout = 1 })}
	transfersAre(c, events, tb.TransferCreated, tb.TransferCreated, tb.TransferCreated)
	balancesAre(c, one, 70, 0, 0, 0)
	post, void := tb.TransferFlags{PostPendingTransfer: true}, tb.TransferFlags{VoidPendingTransfer: true}
	transfersAre(c, []tb.Transfer{
		settle(events[0].ID, 4, post), settle(events[1].ID, 0, void), settle(events[0].ID, 0, void),
		settle(events[1].ID, 1, post)},
		tb.TransferCreated, tb.TransferCreated, tb.TransferPendingTransferAlreadyPosted,
		tb.TransferPendingTransferAlreadyVoided)
	for i := 0; lookup(c, one).DebitsPending != number(0); i++ {
		if i > 400 {
			panic("the hold does not expire")
		}
		time.Sleep(50 * time.Millisecond)
	}
	transfersAre(c, []tb.Transfer{settle(events[2].ID, 1, post)}, tb.TransferPendingTransferExpired)
	balancesAre(c, one, 0, 4, 0, 0)
}

func chains(c tb.Client) {
	one, two := pair(c)
	linked := flags(tb.TransferFlags{Linked: true})
	chain := []tb.Transfer{transfer(one, two, 1, linked), transfer(one, two, 2)}
	transfersAre(c, chain, tb.TransferCreated, tb.TransferCreated)
	transfersAre(c, chain, tb.TransferExists, tb.TransferLinkedEventFailed)
	transfersAre(c, []tb.Transfer{transfer(one, two, 4, linked), transfer(one, one, 1),
		transfer(one, two, 8, linked)},
		tb.TransferLinkedEventFailed, tb.TransferAccountsMustBeDifferent, tb.TransferLinkedEventChainOpen)
	balancesAre(c, one, 0, 3, 0, 0)
}

func balancingAndClosing(c tb.Client) {
	one, two := pair(c)
	events := []tb.Transfer{transfer(two, one, 100),
		transfer(one, two, 1000, flags(tb.TransferFlags{BalancingDebit: true})),
		transfer(one, two, 0, flags(tb.TransferFlags{Pending: true, ClosingCredit: true})),
		transfer(one, two, 1)}
	transfersAre(c, events, tb.TransferCreated, tb.TransferCreated, tb.TransferCreated,
		tb.TransferCreditAccountAlreadyClosed)
	balancesAre(c, one, 0, 100, 0, 100)
	equal(lookup(c, two).AccountFlags().Closed, true)
	transfersAre(c, []tb.Transfer{settle(events[2].ID, 0, tb.TransferFlags{VoidPendingTransfer: true})},
		tb.TransferCreated)
	equal(lookup(c, two).AccountFlags().Closed, false)
}

func imports(c tb.Client) {
	_, two := pair(c)
	at := lookup(c, two).Timestamp
	time.Sleep(10 * time.Millisecond)
	imported := func(t uint64) tb.Account {
		return account(func(a *tb.Account) {
			a.Timestamp = t
			a.Flags = tb.AccountFlags{Imported: true}.ToUint16()
		})
	}
	results := accountsAre(c, []tb.Account{imported(at + 1), imported(at + 5), imported(at + 2), account()},
		tb.AccountCreated, tb.AccountCreated, tb.AccountImportedEventTimestampMustNotRegress,
		tb.AccountImportedEventExpected)
	equal(results[1].Timestamp, at+5)
}

func queries(c tb.Client) {
	tag := tb.ID()
	one, two := pair(c, func(a *tb.Account) { a.UserData128 = tag; a.Flags = tb.AccountFlags{History: true}.ToUint16() })
	var events []tb.Transfer
	for i := uint64(1); i <= 10; i++ {
		events = append(events, transfer(one, two, i, func(t *tb.Transfer) { t.UserData128 = tag }))
	}
	results, err := c.CreateTransfers(events)
	must(err)
	for i, r := range results {
		equal(r.Status, tb.TransferCreated)
		events[i].Timestamp = r.Timestamp
	}
	both := tb.AccountFilterFlags{Debits: true, Credits: true}
	rows, err := c.GetAccountTransfers(tb.AccountFilter{AccountID: one, Limit: 8189, Flags: both.ToUint32()})
	must(err)
	equal(rows, events)
	both.Reversed = true
	rows, err = c.GetAccountTransfers(tb.AccountFilter{AccountID: two, Limit: 3, Flags: both.ToUint32(),
		TimestampMax: events[7].Timestamp})
	must(err)
	equal(ids(rows), reversed(ids(events[5:8])))
	balances, err := c.GetAccountBalances(tb.AccountFilter{AccountID: one, Limit: 8189, Flags: 3})
	must(err)
	equal(len(balances), 10)
	equal([]interface{}{balances[9].DebitsPosted, balances[9].Timestamp}, []interface{}{number(55), events[9].Timestamp})
	rows, err = c.QueryTransfers(tb.QueryFilter{UserData128: tag, Limit: 4})
	must(err)
	equal(rows, events[:4])
	accounts, err := c.QueryAccounts(tb.QueryFilter{UserData128: tag, Limit: 10, Flags: 1})
	must(err)
	equal([]tb.Uint128{accounts[0].ID, accounts[1].ID}, []tb.Uint128{two, one})
	for _, filter := range []tb.QueryFilter{{Limit: 0}, {Limit: 1, Flags: 2}, {Limit: 1, Reserved: [6]uint8{1}}} {
		rows, err = c.QueryTransfers(filter)
		must(err)
		equal(len(rows), 0)
	}
	for _, filter := range []tb.AccountFilter{{AccountID: one, Limit: 1}, {AccountID: one, Flags: 3},
		{AccountID: one, Limit: 1, Flags: 3, Reserved: [58]uint8{57: 1}}} {
		rows, err = c.GetAccountTransfers(filter)
		must(err)
		equal(len(rows), 0)
	}
}

// Every kind of change, with both balances after it.
func changes(c tb.Client) {
	one, two := pair(c, func(a *tb.Account) { a.UserData64 = 77 })
	at := lookup(c, two).Timestamp
	pending := flags(tb.TransferFlags{Pending: true})
	events := []tb.Transfer{
		transfer(one, two, 5, func(t *tb.Transfer) { t.UserData32 = 9 }),
		transfer(one, two, 10, pending), transfer(one, two, 20, pending),
		transfer(one, two, 40, pending, func(t *tb.Transfer) { t.Timeout = 1 }),
	}
	events = append(events,
		settle(events[1].ID, 4, tb.TransferFlags{PostPendingTransfer: true}),
		settle(events[2].ID, 0, tb.TransferFlags{VoidPendingTransfer: true}))
	results := transfersAre(c, events, tb.TransferCreated, tb.TransferCreated, tb.TransferCreated,
		tb.TransferCreated, tb.TransferCreated, tb.TransferCreated)
	for i := 0; lookup(c, one).DebitsPending != number(0); i++ {
		if i > 400 {
			panic("the hold does not expire")
		}
		time.Sleep(50 * time.Millisecond)
	}
	find := func(filter tb.ChangeEventsFilter) []tb.ChangeEvent {
		var found []tb.ChangeEvent
		rows, err := c.GetChangeEvents(filter)
		must(err)
		for _, row := range rows {
			if row.DebitAccountID == one {
				found = append(found, row)
			}
		}
		return found
	}
	all := tb.ChangeEventsFilter{TimestampMin: at + 1, Limit: 2730}
	rows := find(all)
	for i := 0; len(rows) < 7 && i < 400; i++ {
		time.Sleep(50 * time.Millisecond)
		rows = find(all)
	}
	equal(len(rows), 7)
	expected := []struct {
		kind            tb.ChangeEventType
		event           int
		amount          uint64
		pending, posted uint64
	}{
		{tb.ChangeEventSinglePhase, 0, 5, 0, 5}, {tb.ChangeEventTwoPhasePending, 1, 10, 10, 5},
		{tb.ChangeEventTwoPhasePending, 2, 20, 30, 5}, {tb.ChangeEventTwoPhasePending, 3, 40, 70, 5},
		{tb.ChangeEventTwoPhasePosted, 4, 4, 60, 9}, {tb.ChangeEventTwoPhaseVoided, 5, 20, 40, 9},
		{tb.ChangeEventTwoPhaseExpired, 3, 40, 0, 9},
	}
	for i, e := range expected {
		row := rows[i]
		equal(row.Type, e.kind)
		equal([]tb.Uint128{row.TransferID, row.TransferAmount, row.DebitAccountDebitsPending,
			row.DebitAccountDebitsPosted, row.CreditAccountCreditsPending, row.CreditAccountCreditsPosted},
			[]tb.Uint128{events[e.event].ID, number(e.amount), number(e.pending), number(e.posted),
				number(e.pending), number(e.posted)})
		equal(row.TransferTimestamp, results[e.event].Timestamp)
		equal([]interface{}{row.Ledger, row.TransferCode, row.TransferFlags, row.CreditAccountID, row.DebitAccountUserData64},
			[]interface{}{uint32(ledger), uint16(20), events[e.event].Flags, two, uint64(77)})
		equal(row.CreditAccountTimestamp, at)
		if e.kind == tb.ChangeEventTwoPhaseExpired {
			equal(row.Timestamp >= row.TransferTimestamp+1e9, true)
			equal(row.TransferTimeout, uint32(1))
		} else {
			equal(row.Timestamp, row.TransferTimestamp)
		}
	}
	equal(rows[0].TransferUserData32, uint32(9))
	equal(rows[4].TransferPendingID, events[1].ID)
	few, err := c.GetChangeEvents(tb.ChangeEventsFilter{TimestampMin: rows[1].Timestamp, TimestampMax: rows[3].Timestamp, Limit: 2})
	must(err)
	equal(few, rows[1:3])
	for _, filter := range []tb.ChangeEventsFilter{{Limit: 0}, {Limit: 1, TimestampMin: 9, TimestampMax: 8},
		{Limit: 1, TimestampMin: 1 << 63}, {Limit: 1, Reserved: [44]uint8{1}}} {
		nothing, err := c.GetChangeEvents(filter)
		must(err)
		equal(len(nothing), 0)
	}
}

func fullBatches(c tb.Client) {
	one, two := pair(c)
	var events []tb.Transfer
	for i := 0; i < 8189; i++ {
		events = append(events, transfer(one, two, 1))
	}
	results, err := c.CreateTransfers(events)
	must(err)
	equal(len(results), 8189)
	for i, r := range results {
		equal(r.Status, tb.TransferCreated)
		events[i].Timestamp = r.Timestamp
	}
	rows, err := c.LookupTransfers(ids(events))
	must(err)
	equal(rows, events)
	_, err = c.CreateTransfers(append(events, transfer(one, two, 1)))
	equal(err, tb.ErrTooMuchData)
}

func flight(c tb.Client) {
	one, two := pair(c)
	errors := make(chan interface{}, 32)
	var group sync.WaitGroup
	for n := 0; n < 32; n++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			defer func() {
				if e := recover(); e != nil {
					errors <- e
				}
			}()
			for turn := 0; turn < 10; turn++ {
				var events []tb.Transfer
				var expected []tb.CreateTransferStatus
				for i := 0; i < n; i++ {
					events = append(events, transfer(one, two, 1))
					expected = append(expected, tb.TransferCreated)
				}
				transfersAre(c, append(events, transfer(one, one, 1)),
					append(expected, tb.TransferAccountsMustBeDifferent)...)
				rows, err := c.LookupTransfers(ids(events))
				must(err)
				equal(ids(rows), ids(events))
			}
		}(n)
	}
	group.Wait()
	select {
	case e := <-errors:
		panic(e)
	default:
	}
	balancesAre(c, one, 0, 10*31*16, 0, 0)
}

func severalClients(c tb.Client) {
	one, two := pair(c)
	errors := make(chan interface{}, 8)
	var group sync.WaitGroup
	for n := 0; n < 8; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() {
				if e := recover(); e != nil {
					errors <- e
				}
			}()
			client, err := tb.NewClient(number(0), []string{address})
			must(err)
			defer client.Close()
			for turn := 0; turn < 10; turn++ {
				transfersAre(client, []tb.Transfer{transfer(one, two, 1)}, tb.TransferCreated)
			}
		}()
	}
	group.Wait()
	select {
	case e := <-errors:
		panic(e)
	default:
	}
	balancesAre(c, two, 0, 0, 0, 80)
}

func main() {
	client, err := tb.NewClient(number(0), []string{address})
	must(err)
	defer client.Close()
	passed, failed := 0, 0
	for _, test := range []struct {
		name string
		run  func(tb.Client)
	}{
		{"accounts are created once and refused by rule", accountsByRule},
		{"transfers are created once and refused by rule", transfersByRule},
		{"holds are posted, voided and expire", holds},
		{"chains pass or fail together", chains},
		{"balancing and closing", balancingAndClosing},
		{"events are imported with their time", imports},
		{"queries answer", queries},
		{"change events have balances", changes},
		{"full batches pass and greater ones do not", fullBatches},
		{"calls in flight are answered each with its own", flight},
		{"several clients work at once", severalClients},
	} {
		func() {
			defer func() {
				if e := recover(); e != nil {
					fmt.Printf("FAILED  go: %s\n%v\n", test.name, e)
					failed++
				}
			}()
			test.run(client)
			fmt.Printf("ok      go: %s\n", test.name)
			passed++
		}()
	}
	fmt.Printf("go: %d passed, %d failed\n", passed, failed)
	if failed != 0 {
		os.Exit(1)
	}
}
