-- The double-entry transfer in Redis, for one transfer or many.
--
-- ARGV: id, debit account, credit account, amount of each transfer in turn. Returns how many were
-- created; a transfer that breaks a rule is left out. Redis runs a script alone and logs its effects
-- as one transaction.
--
-- Chosen in Redis's favour wherever there was a choice: 64-bit amounts, no pending balances, no
-- flags or limits, a transfer as one string whose SET NX is the check for duplicates as well, and
-- keys that are not declared (there is one server).
local created = 0
for i = 1, #ARGV, 4 do
    local debit = 'a:' .. ARGV[i + 1]
    local credit = 'a:' .. ARGV[i + 2]
    local amount = ARGV[i + 3]
    local ledger = redis.call('HGET', debit, 'ledger')
    if ledger and debit ~= credit and ledger == redis.call('HGET', credit, 'ledger') then
        local record = ARGV[i + 1] .. ',' .. ARGV[i + 2] .. ',' .. amount .. ',' .. ledger .. ',1'
        if redis.call('SET', 't:' .. ARGV[i], record, 'NX') then
            redis.call('HINCRBY', debit, 'debits_posted', amount)
            redis.call('HINCRBY', credit, 'credits_posted', amount)
            created = created + 1
        end
    end
end
return created
