-- The double-entry transfer in PostgreSQL. psql variable: accounts.
--
-- Chosen in PostgreSQL's favour wherever there was a choice: 64-bit amounts and account ids instead
-- of 128 bits, no pending balances, no flags or limits, room on every page for in-page (HOT)
-- updates, and statements that check by doing: a missing account or another ledger leaves the
-- update without a row, a used id fails the insert, and either rolls the call back.

create table accounts (
    id bigint primary key,
    ledger integer not null,
    code smallint not null,
    debits_posted bigint not null default 0,
    credits_posted bigint not null default 0
) with (fillfactor = 50);

create table transfers (
    id uuid primary key,
    debit_account_id bigint not null,
    credit_account_id bigint not null,
    amount bigint not null,
    ledger integer not null,
    code smallint not null,
    created_at timestamptz not null default clock_timestamp()
);

insert into accounts (id, ledger, code)
select id, 1, 1 from generate_series(1, :accounts) as id;

-- One transfer. Rows are locked in the order of their ids, so that no two calls wait for each other.
create function transfer_create(p_id uuid, p_debit bigint, p_credit bigint, p_amount bigint)
returns integer language plpgsql as $$
declare
    v_ledger integer;
begin
    if p_debit = p_credit then
        raise exception 'accounts_must_be_different';
    end if;
    if p_debit < p_credit then
        update accounts set debits_posted = debits_posted + p_amount
        where id = p_debit returning ledger into v_ledger;
        update accounts set credits_posted = credits_posted + p_amount
        where id = p_credit and ledger = v_ledger;
    else
        update accounts set credits_posted = credits_posted + p_amount
        where id = p_credit returning ledger into v_ledger;
        update accounts set debits_posted = debits_posted + p_amount
        where id = p_debit and ledger = v_ledger;
    end if;
    if not found then
        raise exception 'account_not_found or accounts_must_have_the_same_ledger';
    end if;
    insert into transfers (id, debit_account_id, credit_account_id, amount, ledger, code)
    values (p_id, p_debit, p_credit, p_amount, v_ledger, 1);
    return 1;
end $$;

-- Many transfers, all or none, set by set: one insert, one update of every account concerned.
create function transfers_create(p_ids uuid[], p_debits bigint[], p_credits bigint[],
                                 p_amounts bigint[])
returns integer language plpgsql as $$
declare
    v_inserted integer;
begin
    perform 1 from accounts
    where id in (select unnest(p_debits) union select unnest(p_credits))
    order by id for no key update;

    insert into transfers (id, debit_account_id, credit_account_id, amount, ledger, code)
    select t.id, t.debit, t.credit, t.amount, d.ledger, 1
    from unnest(p_ids, p_debits, p_credits, p_amounts) as t (id, debit, credit, amount)
    join accounts d on d.id = t.debit
    join accounts c on c.id = t.credit and c.ledger = d.ledger
    where t.debit <> t.credit;
    get diagnostics v_inserted = row_count;
    if v_inserted <> cardinality(p_ids) then
        raise exception 'a transfer of the batch breaks a rule';
    end if;

    update accounts a
    set debits_posted = a.debits_posted + s.debits, credits_posted = a.credits_posted + s.credits
    from (select account, sum(debit)::bigint as debits, sum(credit)::bigint as credits
          from (select unnest(p_debits) as account, unnest(p_amounts) as debit, 0 as credit
                union all
                select unnest(p_credits), 0, unnest(p_amounts)) as entries
          group by account) as s
    where a.id = s.account;
    return v_inserted;
end $$;
