// The main rules through TigerBeetle's Node client, 0.17.x.
// Usage: node features.js ADDRESS
'use strict'
const assert = require('node:assert')
const tb = require('tigerbeetle-node')

const A = tb.CreateAccountStatus
const T = tb.CreateTransferStatus
const F = tb.TransferFlags
const LEDGER = 700
const address = process.argv[2]
const tests = []

function test(name, run) {
  tests.push({ name, run })
}

function account(fields = {}) {
  return {
    id: tb.id(), debits_pending: 0n, debits_posted: 0n, credits_pending: 0n, credits_posted: 0n,
    user_data_128: 0n, user_data_64: 0n, user_data_32: 0, reserved: 0, ledger: LEDGER, code: 10,
    flags: 0, timestamp: 0n, ...fields,
  }
}

function transfer(debit, credit, amount = 1n, fields = {}) {
  return {
    id: tb.id(), debit_account_id: debit, credit_account_id: credit, amount, pending_id: 0n,
    user_data_128: 0n, user_data_64: 0n, user_data_32: 0, timeout: 0, ledger: LEDGER, code: 20,
    flags: 0, timestamp: 0n, ...fields,
  }
}

function settle(pending, flags, amount) {
  return transfer(0n, 0n, amount, { pending_id: pending, flags, ledger: 0, code: 0 })
}

function accountFilter(id, fields = {}) {
  return {
    account_id: id, user_data_128: 0n, user_data_64: 0n, user_data_32: 0, code: 0,
    timestamp_min: 0n, timestamp_max: 0n, limit: 8189, flags: 3, ...fields,
  }
}

function queryFilter(fields = {}) {
  return {
    user_data_128: 0n, user_data_64: 0n, user_data_32: 0, ledger: 0, code: 0,
    timestamp_min: 0n, timestamp_max: 0n, limit: 8189, flags: 0, ...fields,
  }
}

const ids = (rows) => rows.map((row) => row.id)
const repeat = (count, make) => Array.from({ length: count }, (_, i) => make(i))

async function accountsAre(c, events, expected) {
  const results = await c.createAccounts(events)
  assert.deepStrictEqual(results.map((r) => A[r.status]), expected.map((s) => A[s]))
  return results
}

async function transfersAre(c, events, expected) {
  const results = await c.createTransfers(events)
  assert.deepStrictEqual(results.map((r) => T[r.status]), expected.map((s) => T[s]))
  return results
}

async function pair(c, fields = {}) {
  const events = [account(fields), account(fields)]
  await accountsAre(c, events, [A.created, A.created])
  return ids(events)
}

async function balances(c, id) {
  const [row] = await c.lookupAccounts([id])
  return [row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted]
}

async function until(condition) {
  for (let i = 0; i < 400; i++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail('not within 20 s')
}

test('accounts are created once and refused by rule', async (c) => {
  const one = account({ user_data_128: 2n ** 127n, user_data_64: 5n, user_data_32: 7, flags: 8 })
  const results = await accountsAre(
    c,
    [one, account({ id: 0n }), account({ id: 2n ** 128n - 1n }), account({ flags: 1 << 15 }),
      account({ flags: 6 }), account({ reserved: 1 }), account({ ledger: 0 }), account({ code: 0 }),
      account({ debits_posted: 1n }), account({ timestamp: 1n }), one,
      account({ id: one.id }), account({ id: one.id, flags: 8, user_data_128: 1n })],
    [A.created, A.id_must_not_be_zero, A.id_must_not_be_int_max, A.reserved_flag,
      A.flags_are_mutually_exclusive, A.reserved_field, A.ledger_must_not_be_zero,
      A.code_must_not_be_zero, A.debits_posted_must_be_zero, A.timestamp_must_be_zero, A.exists,
      A.exists_with_different_flags, A.exists_with_different_user_data_128],
  )
  const start = results[0].timestamp
  results.forEach((result, i) => {
    assert.strictEqual(result.timestamp, i === 10 ? start : start + BigInt(i))
  })
  assert.deepStrictEqual(await c.lookupAccounts([tb.id(), one.id]), [{ ...one, timestamp: start }])
})

test('transfers are created once and refused by rule', async (c) => {
  const [one, two] = await pair(c)
  const event = transfer(one, two, 2n ** 100n, { user_data_64: 9n })
  const results = await transfersAre(
    c,
    [event, transfer(one, one), transfer(one, tb.id()), transfer(one, two, 1n, { flags: 1 << 9 }),
      transfer(one, two, 1n, { ledger: 1 }), event, { ...event, amount: 1n },
      transfer(one, two, 1n, { timeout: 1 })],
    [T.created, T.accounts_must_be_different, T.credit_account_not_found, T.reserved_flag,
      T.transfer_must_have_the_same_ledger_as_accounts, T.exists, T.exists_with_different_amount,
      T.timeout_reserved_for_pending_transfer],
  )
  assert.strictEqual(results[5].timestamp, results[0].timestamp)
  assert.deepStrictEqual(await c.lookupTransfers([event.id, one]),
    [{ ...event, timestamp: results[0].timestamp }])
  assert.deepStrictEqual(await balances(c, one), [0n, 2n ** 100n, 0n, 0n])
})

test('ids of transient failures are burnt', async (c) => {
  const [one, two] = await pair(c, { flags: tb.AccountFlags.debits_must_not_exceed_credits })
  const event = transfer(one, two, 5n)
  await transfersAre(c, [event, event], [T.exceeds_credits, T.id_already_failed])
})

test('holds are posted, voided and expire', async (c) => {
  const [one, two] = await pair(c)
  const holds = [10n, 20n, 40n, 80n].map((amount, i) =>
    transfer(one, two, amount, { flags: F.pending, timeout: i === 3 ? 1 : 0 }))
  await transfersAre(c, holds, repeat(4, () => T.created))
  assert.deepStrictEqual(await balances(c, one), [150n, 0n, 0n, 0n])
  await transfersAre(
    c,
    [settle(holds[0].id, F.post_pending_transfer, tb.amount_max),
      settle(holds[1].id, F.post_pending_transfer, 5n),
      settle(holds[2].id, F.void_pending_transfer, 0n),
      settle(holds[2].id, F.post_pending_transfer, 1n),
      settle(holds[0].id, F.void_pending_transfer, 0n)],
    [T.created, T.created, T.created, T.pending_transfer_already_voided,
      T.pending_transfer_already_posted],
  )
  await until(async () => (await balances(c, one))[0] === 0n)
  assert.deepStrictEqual(await balances(c, one), [0n, 15n, 0n, 0n])
  await transfersAre(c, [settle(holds[3].id, F.post_pending_transfer, 1n)],
    [T.pending_transfer_expired])
})

test('chains pass or fail together', async (c) => {
  const [one, two] = await pair(c)
  const chain = [transfer(one, two, 1n, { flags: F.linked }), transfer(one, two, 2n)]
  const first = await transfersAre(c, chain, [T.created, T.created])
  const again = await transfersAre(c, chain, [T.exists, T.linked_event_failed])
  assert.strictEqual(again[0].timestamp, first[0].timestamp)
  await transfersAre(
    c,
    [transfer(one, two, 4n), transfer(one, two, 8n, { flags: F.linked }), transfer(one, one),
      transfer(one, two, 16n, { flags: F.linked }), transfer(one, two, 32n, { flags: F.linked })],
    [T.created, T.linked_event_failed, T.accounts_must_be_different, T.linked_event_failed,
      T.linked_event_chain_open],
  )
  assert.deepStrictEqual(await balances(c, one), [0n, 7n, 0n, 0n])
})

test('balancing moves what there is', async (c) => {
  const [one, two] = await pair(c)
  const events = [transfer(two, one, 100n),
    transfer(one, two, tb.amount_max, { flags: F.balancing_debit })]
  await transfersAre(c, events, [T.created, T.created])
  assert.strictEqual((await c.lookupTransfers([events[1].id]))[0].amount, 100n)
})

test('closing closes and a void opens again', async (c) => {
  const [one, two] = await pair(c)
  const closing = transfer(one, two, 0n, { flags: F.pending | F.closing_debit })
  await transfersAre(c, [closing, transfer(one, two)], [T.created, T.debit_account_already_closed])
  assert.strictEqual((await c.lookupAccounts([one]))[0].flags, tb.AccountFlags.closed)
  await transfersAre(
    c, [settle(closing.id, F.void_pending_transfer, 0n), transfer(one, two)], [T.created, T.created])
})

test('events are imported with their time', async (c) => {
  const [{ timestamp: at }] = await c.lookupAccounts([(await pair(c))[1]])
  await new Promise((resolve) => setTimeout(resolve, 10))
  const events = [1n, 2n].map((i) => account({ flags: 16, timestamp: at + i }))
  const results = await accountsAre(c, [...events, account({ flags: 16, timestamp: at + 1n })],
    [A.created, A.created, A.imported_event_timestamp_must_not_regress])
  assert.deepStrictEqual(results.slice(0, 2).map((r) => r.timestamp), [at + 1n, at + 2n])
  assert.deepStrictEqual(await c.lookupAccounts(ids(events)), events)
})

test('queries answer', async (c) => {
  const tag = tb.id()
  const [one, two] = await pair(c, { flags: tb.AccountFlags.history, user_data_128: tag })
  const events = repeat(10, (i) => transfer(one, two, BigInt(i + 1), { user_data_128: tag, code: 1 + i % 2 }))
  await transfersAre(c, events, repeat(10, () => T.created))
  const sent = ids(events)
  assert.deepStrictEqual(ids(await c.getAccountTransfers(accountFilter(one))), sent)
  assert.deepStrictEqual(
    ids(await c.getAccountTransfers(accountFilter(two, { flags: 2 | 4, limit: 3 }))),
    sent.slice(-3).reverse())
  assert.deepStrictEqual(await c.getAccountTransfers(accountFilter(two, { flags: 1 })), [])
  assert.deepStrictEqual(
    (await c.getAccountBalances(accountFilter(one))).map((row) => row.debits_posted),
    [1n, 3n, 6n, 10n, 15n, 21n, 28n, 36n, 45n, 55n])
  assert.deepStrictEqual(ids(await c.queryAccounts(queryFilter({ user_data_128: tag }))), [one, two])
  assert.deepStrictEqual(
    ids(await c.queryTransfers(queryFilter({ user_data_128: tag, code: 2, flags: 1 }))),
    sent.filter((_, i) => i % 2).reverse())
  assert.deepStrictEqual(await c.queryTransfers(queryFilter({ limit: 0 })), [])
  assert.deepStrictEqual(await c.getAccountTransfers(accountFilter(0n)), [])
})

test('full batches pass and greater ones do not', async (c) => {
  const events = repeat(8189, () => account())
  const results = await c.createAccounts(events)
  assert.ok(results.every((r) => r.status === A.created))
  assert.deepStrictEqual(ids(await c.lookupAccounts(ids(events))), ids(events))
  await assert.rejects(c.createAccounts(repeat(8190, () => account())), { code: 'ERR_TOO_MUCH_DATA' })
})

test('calls in flight are answered each with its own', async (c) => {
  const [one, two] = await pair(c)
  await Promise.all(repeat(32, async (number) => {
    for (let turn = 0; turn < 10; turn++) {
      const events = repeat(number + 1, () => transfer(one, two))
      await transfersAre(c, [...events, transfer(one, one)],
        [...events.map(() => T.created), T.accounts_must_be_different])
      assert.deepStrictEqual(ids(await c.lookupTransfers(ids(events))), ids(events))
      assert.deepStrictEqual(await c.createTransfers([]), [])
    }
  }))
  assert.deepStrictEqual((await balances(c, one))[1], BigInt(10 * 33 * 16))
})

test('several clients work at once', async (c) => {
  const [one, two] = await pair(c)
  const clients = repeat(8, () => tb.createClient({ cluster_id: 0n, replica_addresses: [address] }))
  await Promise.all(clients.map(async (client) => {
    for (let turn = 0; turn < 10; turn++)
      await transfersAre(client, [transfer(one, two)], [T.created])
  }))
  clients.forEach((client) => client.destroy())
  assert.deepStrictEqual(await balances(c, two), [0n, 0n, 0n, 80n])
})

async function main() {
  const client = tb.createClient({ cluster_id: 0n, replica_addresses: [address] })
  let failed = 0
  for (const { name, run } of tests) {
    try {
      await run(client)
      console.log(`ok      node: ${name}`)
    } catch (error) {
      failed++
      console.log(`FAILED  node: ${name}\n${error.stack}`)
    }
  }
  client.destroy()
  console.log(`node: ${tests.length - failed} passed, ${failed} failed`)
  process.exit(failed === 0 ? 0 : 1)
}

main()
