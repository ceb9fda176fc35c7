import com.tigerbeetle.AccountBatch;
import com.tigerbeetle.AccountFilter;
import com.tigerbeetle.AccountFlags;
import com.tigerbeetle.Client;
import com.tigerbeetle.CreateAccountResult;
import com.tigerbeetle.CreateTransferResult;
import com.tigerbeetle.IdBatch;
import com.tigerbeetle.QueryFilter;
import com.tigerbeetle.TransferBatch;
import com.tigerbeetle.TransferFlags;
import com.tigerbeetle.UInt128;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** The main rules through TigerBeetle's Java client, 0.16.x. Argument: ADDRESS. */
final class Features {
    private static final int LEDGER = 700;
    private static final int BATCH_MAX = 8190;
    private static int passed;
    private static int failed;

    interface Test {
        void run(Client client) throws Exception;
    }

    private Features() {}

    static void equal(Object actual, Object expected) {
        if (!actual.equals(expected))
            throw new AssertionError(actual + " instead of " + expected);
    }

    static byte[] account(AccountBatch batch, int flags) {
        byte[] id = UInt128.id();
        batch.add();
        batch.setId(id);
        batch.setLedger(LEDGER);
        batch.setCode(10);
        batch.setFlags(flags);
        return id;
    }

    static byte[][] pair(Client client, int flags) {
        AccountBatch batch = new AccountBatch(2);
        byte[][] ids = {account(batch, flags), account(batch, flags)};
        equal(client.createAccounts(batch).getLength(), 0);
        return ids;
    }

    static byte[] transfer(TransferBatch batch, byte[] debit, byte[] credit, long amount, int flags) {
        byte[] id = UInt128.id();
        batch.add();
        batch.setId(id);
        batch.setDebitAccountId(debit);
        batch.setCreditAccountId(credit);
        batch.setAmount(amount);
        batch.setLedger(LEDGER);
        batch.setCode(20);
        batch.setFlags(flags);
        return id;
    }

    static void settle(TransferBatch batch, byte[] pending, BigInteger amount, int flags) {
        batch.add();
        batch.setId(UInt128.id());
        batch.setPendingId(pending);
        batch.setAmount(amount);
        batch.setFlags(flags);
    }

    /** Creates the transfers; answers index and result of those that failed. */
    static String failures(Client client, TransferBatch batch) {
        var results = client.createTransfers(batch);
        List<String> found = new ArrayList<>();
        while (results.next())
            found.add(results.getIndex() + " " + results.getResult());
        return String.join(", ", found);
    }

    static String balances(Client client, byte[] id) {
        AccountBatch rows = client.lookupAccounts(new IdBatch(id));
        equal(rows.getLength(), 1);
        rows.next();
        return rows.getDebitsPending() + " " + rows.getDebitsPosted() + " " + rows.getCreditsPending()
            + " " + rows.getCreditsPosted();
    }

    static void accounts(Client client) {
        AccountBatch batch = new AccountBatch(4);
        byte[] one = account(batch, 0);
        account(batch, 0);
        batch.setLedger(0);
        account(batch, 0);
        batch.setId(one);
        account(batch, 0);
        batch.setId(one);
        batch.setCode(11);
        var results = client.createAccounts(batch);
        List<String> found = new ArrayList<>();
        while (results.next())
            found.add(results.getIndex() + " " + results.getResult());
        equal(String.join(", ", found), "1 " + CreateAccountResult.LedgerMustNotBeZero + ", 2 "
            + CreateAccountResult.Exists + ", 3 " + CreateAccountResult.ExistsWithDifferentCode);
        AccountBatch rows = client.lookupAccounts(new IdBatch(UInt128.id(), one));
        equal(rows.getLength(), 1);
        rows.next();
        equal(Arrays.toString(rows.getId()), Arrays.toString(one));
        equal(rows.getLedger(), LEDGER);
        equal(rows.getTimestamp() > 0, true);
    }

    static void holds(Client client) throws Exception {
        byte[][] ids = pair(client, 0);
        TransferBatch batch = new TransferBatch(3);
        byte[] first = transfer(batch, ids[0], ids[1], 10, TransferFlags.PENDING);
        byte[] second = transfer(batch, ids[0], ids[1], 20, TransferFlags.PENDING);
        byte[] third = transfer(batch, ids[0], ids[1], 40, TransferFlags.PENDING);
        batch.setTimeout(1);
        equal(failures(client, batch), "");
        equal(balances(client, ids[0]), "70 0 0 0");
        batch = new TransferBatch(3);
        settle(batch, first, BigInteger.valueOf(4), TransferFlags.POST_PENDING_TRANSFER);
        settle(batch, second, BigInteger.ZERO, TransferFlags.VOID_PENDING_TRANSFER);
        settle(batch, first, TransferBatch.AMOUNT_MAX, TransferFlags.POST_PENDING_TRANSFER);
        equal(failures(client, batch), "2 " + CreateTransferResult.PendingTransferAlreadyPosted);
        for (int i = 0; i < 400 && !balances(client, ids[0]).equals("0 4 0 0"); i++)
            Thread.sleep(50);
        batch = new TransferBatch(1);
        settle(batch, third, BigInteger.ONE, TransferFlags.POST_PENDING_TRANSFER);
        equal(failures(client, batch), "0 " + CreateTransferResult.PendingTransferExpired);
        equal(balances(client, ids[0]), "0 4 0 0");
    }

    static void chains(Client client) {
        byte[][] ids = pair(client, 0);
        TransferBatch batch = new TransferBatch(2);
        transfer(batch, ids[0], ids[1], 1, TransferFlags.LINKED);
        transfer(batch, ids[0], ids[1], 2, 0);
        equal(failures(client, batch), "");
        equal(failures(client, batch), "0 Exists, 1 LinkedEventFailed");
        batch = new TransferBatch(3);
        transfer(batch, ids[0], ids[1], 4, TransferFlags.LINKED);
        transfer(batch, ids[0], ids[0], 8, 0);
        transfer(batch, ids[0], ids[1], 16, TransferFlags.LINKED);
        equal(failures(client, batch),
            "0 LinkedEventFailed, 1 AccountsMustBeDifferent, 2 LinkedEventChainOpen");
        equal(balances(client, ids[0]), "0 3 0 0");
    }

    static void queries(Client client) {
        byte[][] ids = pair(client, AccountFlags.HISTORY);
        byte[] tag = UInt128.id();
        TransferBatch batch = new TransferBatch(10);
        for (int i = 1; i <= 10; i++) {
            transfer(batch, ids[0], ids[1], i, 0);
            batch.setUserData128(tag);
        }
        equal(failures(client, batch), "");
        AccountFilter filter = new AccountFilter();
        filter.setAccountId(ids[0]);
        filter.setDebits(true);
        filter.setReversed(true);
        filter.setLimit(3);
        TransferBatch rows = client.getAccountTransfers(filter);
        StringBuilder amounts = new StringBuilder();
        while (rows.next())
            amounts.append(rows.getAmount()).append(' ');
        equal(amounts.toString(), "10 9 8 ");
        var balances = client.getAccountBalances(filter);
        equal(balances.getLength(), 3);
        balances.next();
        equal(balances.getDebitsPosted(), BigInteger.valueOf(55));
        QueryFilter query = new QueryFilter();
        query.setUserData128(tag);
        query.setLimit(BATCH_MAX);
        equal(client.queryTransfers(query).getLength(), 10);
        equal(client.queryAccounts(query).getLength(), 0);
        query.setLimit(0);
        equal(client.queryTransfers(query).getLength(), 0);
    }

    static void fullBatch(Client client) {
        byte[][] ids = pair(client, 0);
        TransferBatch batch = new TransferBatch(BATCH_MAX);
        IdBatch asked = new IdBatch(BATCH_MAX);
        for (int i = 0; i < BATCH_MAX; i++)
            asked.add(transfer(batch, ids[0], ids[1], 1, 0));
        equal(failures(client, batch), "");
        equal(client.lookupTransfers(asked).getLength(), BATCH_MAX);
        equal(balances(client, ids[1]), "0 0 0 " + BATCH_MAX);
    }

    static void flight(Client client) throws Exception {
        byte[][] ids = pair(client, 0);
        for (int turn = 0; turn < 10; turn++) {
            List<CompletableFuture<com.tigerbeetle.CreateTransferResultBatch>> calls = new ArrayList<>();
            for (int n = 0; n < 32; n++) {
                TransferBatch batch = new TransferBatch(n + 1);
                for (int i = 0; i < n; i++)
                    transfer(batch, ids[0], ids[1], 1, 0);
                transfer(batch, ids[0], ids[0], 1, 0);
                calls.add(client.createTransfersAsync(batch));
            }
            for (int n = 0; n < 32; n++) {
                var results = calls.get(n).get();
                equal(results.getLength(), 1);
                results.next();
                equal(results.getIndex(), n);
                equal(results.getResult(), CreateTransferResult.AccountsMustBeDifferent);
            }
        }
        equal(balances(client, ids[0]), "0 " + 10 * 31 * 16 + " 0 0");
    }

    static void test(Client client, String name, Test test) {
        try {
            test.run(client);
            passed++;
            System.out.println("ok      java: " + name);
        } catch (Throwable error) {
            failed++;
            System.out.println("FAILED  java: " + name);
            error.printStackTrace(System.out);
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Client client = new Client(UInt128.asBytes(0), new String[] {arguments[0]})) {
            test(client, "accounts are created once and refused by rule", Features::accounts);
            test(client, "holds are posted, voided and expire", Features::holds);
            test(client, "chains pass or fail together", Features::chains);
            test(client, "queries answer", Features::queries);
            test(client, "full batches pass", Features::fullBatch);
            test(client, "calls in flight are answered each with its own", Features::flight);
        }
        System.out.println("java: " + passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
