// A load through TigerBeetle's Go client: full batches of transfers, one call in flight for each of
// several client objects, for a number of seconds after a warm-up.
//
// Usage: load ADDRESS CLIENTS WARMUP SECONDS
//
// Every event's result has to be `created`, timestamps have to increase within a batch, and in the end
// the accounts have to hold what the transfers add up to. Prints a line of JSON: transfers and seconds
// of the measured part, latencies of its calls in microseconds, the process's CPU time over all of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const (
	accounts  = 10000
	batch     = 8189
	ledger    = 1
	code      = 1
	amountMax = 1024
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func argument(i int) int {
	value, err := strconv.Atoi(os.Args[i])
	must(err)
	return value
}

func connect() tb.Client {
	client, err := tb.NewClient(tb.ToUint128(0), []string{os.Args[1]})
	must(err)
	return client
}

// Accounts get ids that no run before has used.
func accountsCreate(client tb.Client) []tb.Uint128 {
	ids := make([]tb.Uint128, accounts)
	for i := range ids {
		ids[i] = tb.ID()
	}
	for at := 0; at < accounts; at += batch {
		var events []tb.Account
		for i := at; i < accounts && i < at+batch; i++ {
			events = append(events, tb.Account{ID: ids[i], Ledger: ledger, Code: code})
		}
		results, err := client.CreateAccounts(events)
		must(err)
		for _, result := range results {
			if result.Status != tb.AccountCreated {
				must(fmt.Errorf("an account: %v", result.Status))
			}
		}
	}
	return ids
}

// Posted debits and credits of all accounts, which fit 64 bits.
func sums(client tb.Client, ids []tb.Uint128) (debits, credits uint64) {
	low := func(value tb.Uint128) uint64 {
		big := value.BigInt()
		return big.Uint64()
	}
	for at := 0; at < accounts; at += batch {
		end := at + batch
		if end > accounts {
			end = accounts
		}
		found, err := client.LookupAccounts(ids[at:end])
		must(err)
		if len(found) != end-at {
			must(fmt.Errorf("%d accounts of %d", len(found), end-at))
		}
		for i := range found {
			debits += low(found[i].DebitsPosted)
			credits += low(found[i].CreditsPosted)
		}
	}
	return debits, credits
}

type worker struct {
	client    tb.Client
	random    uint64
	amount    uint64
	transfers uint64
	latencies []time.Duration
}

func (w *worker) next(below uint64) uint64 {
	w.random ^= w.random << 13
	w.random ^= w.random >> 7
	w.random ^= w.random << 17
	return w.random % below
}

// call sends one batch and returns how long its answer took.
func (w *worker) call(ids []tb.Uint128, events []tb.Transfer) time.Duration {
	for i := range events {
		debit := w.next(accounts)
		credit := (debit + 1 + w.next(accounts-1)) % accounts
		amount := 1 + w.next(amountMax)
		events[i] = tb.Transfer{
			ID: tb.ID(), DebitAccountID: ids[debit], CreditAccountID: ids[credit],
			Amount: tb.ToUint128(amount), Ledger: ledger, Code: code,
		}
		w.amount += amount
	}
	begin := time.Now()
	results, err := w.client.CreateTransfers(events)
	took := time.Since(begin)
	must(err)
	if len(results) != len(events) {
		must(fmt.Errorf("%d results for %d events", len(results), len(events)))
	}
	var last uint64
	for _, result := range results {
		if result.Status != tb.TransferCreated || result.Timestamp <= last {
			must(fmt.Errorf("a transfer: %v at %d", result.Status, result.Timestamp))
		}
		last = result.Timestamp
	}
	return took
}

func (w *worker) run(ids []tb.Uint128, measured, over *atomic.Bool) {
	events := make([]tb.Transfer, batch)
	for !over.Load() {
		took := w.call(ids, events)
		if measured.Load() && !over.Load() {
			w.transfers += batch
			w.latencies = append(w.latencies, took)
		}
	}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: load ADDRESS CLIENTS WARMUP SECONDS")
		os.Exit(2)
	}
	workers := make([]worker, argument(2))
	var measured, over atomic.Bool
	var all sync.WaitGroup
	for i := range workers {
		workers[i] = worker{client: connect(), random: uint64(i)*0x9e3779b97f4a7c15 + 1}
	}
	ids := accountsCreate(workers[0].client)
	for i := range workers {
		all.Add(1)
		go func(w *worker) {
			defer all.Done()
			w.run(ids, &measured, &over)
		}(&workers[i])
	}
	time.Sleep(time.Duration(argument(3)) * time.Second)
	begin := time.Now()
	measured.Store(true)
	time.Sleep(time.Duration(argument(4)) * time.Second)
	over.Store(true)
	seconds := time.Since(begin).Seconds()
	all.Wait()

	var transfers, amount uint64
	var latencies []time.Duration
	for i := range workers {
		transfers += workers[i].transfers
		amount += workers[i].amount
		latencies = append(latencies, workers[i].latencies...)
	}
	debits, credits := sums(workers[0].client, ids)
	if debits != amount || credits != amount {
		must(fmt.Errorf("%d was moved, accounts have %d debited and %d credited", amount, debits, credits))
	}
	if len(latencies) == 0 {
		must(fmt.Errorf("no call was answered in time"))
	}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	percentile := func(p int) int64 { return latencies[(len(latencies)-1)*p/100].Microseconds() }
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	must(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"transfers":   transfers,
		"seconds":     seconds,
		"p50_us":      percentile(50),
		"p99_us":      percentile(99),
		"cpu_seconds": time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds(),
	}))
	for i := range workers {
		workers[i].client.Close()
	}
}
