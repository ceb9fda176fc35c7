/* Which requests share a frame.
 *
 * Every request must get the results that it would get alone, and nobody may be able to tell that a
 * request overtook another. From these two follow all the rules:
 *
 *  - The server judges a linked chain across everything in a frame. A request whose last event is
 *    linked leaves its chain open; it goes last, where its chain meets the end of the frame, as it
 *    would meet its own end.
 *  - The server judges every event's imported flag by the first event of the frame. Requests whose
 *    first events differ in it do not share a frame; a request that mixes both is then still judged
 *    by its own first event.
 *  - A frame has one fence. Requests share it only with the same one, or all without.
 *  - A query has one filter, and its reply speaks of nothing else: it travels alone.
 *  - A refusal concerns a frame as a whole. A request that was in a refused frame is tried alone
 *    (see receive.c).
 *  - The frame may pass over a request of another kind only when its caller waits for it in
 *    giro_call(): whoever submitted later cannot have waited for it. A request submitted with a
 *    callback ends the search instead, because its submitter went on and may rely on the order. */
#include "clients/c/client.h"

#include <assert.h>

bool giro_fence_equal(const struct giro_fence *a, const struct giro_fence *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->key == b->key && a->token == b->token && a->reserved == b->reserved;
}

/* The flags of one event that decide what it may share a frame with. Limits, leases and schedules have
 * none of these: each event stands by itself. */
static uint16_t event_flags(const struct giro_request *request, uint32_t index)
{
    if (!request_has_chains(request))
        return 0;
    assert(index < request->count);
    return request->operation == GIRO_CREATE_ACCOUNTS ? request->events.accounts[index].flags
                                                      : request->events.transfers[index].flags;
}

static bool leaves_chain_open(const struct giro_request *request)
{
    _Static_assert((int)GIRO_ACCOUNT_LINKED == (int)GIRO_TRANSFER_LINKED, "one test for both");
    return (event_flags(request, request->count - 1) & GIRO_TRANSFER_LINKED) != 0;
}

static bool is_imported(const struct giro_request *request)
{
    uint16_t flag =
        request->operation == GIRO_CREATE_ACCOUNTS ? GIRO_ACCOUNT_IMPORTED : GIRO_TRANSFER_IMPORTED;
    return (event_flags(request, 0) & flag) != 0;
}

static bool may_join(const struct frame *frame, const struct giro_request *request,
                     uint32_t events_max)
{
    return request->operation == frame->operation && !request->internal.alone &&
           request->count <= MERGE_EVENTS_MAX &&
           request->count <= events_max - frame->event_count &&
           giro_fence_equal(request->fence, frame->requests.head->fence) &&
           is_imported(request) == is_imported(frame->requests.head);
}

static void frame_add(struct request_list *queue, struct giro_request *request, struct frame *frame)
{
    giro_list_remove(queue, request);
    giro_list_append(&frame->requests, request);
    request->internal.frame = frame;
    request->internal.offset = frame->event_count;
    frame->event_count += request->count;
}

bool giro_batch_may_grow(const struct request_list *queue)
{
    uint32_t event_count = 0;
    for (const struct giro_request *request = queue->head; request != NULL;
         request = request->internal.next) {
        event_count += request->count;
        if (request->operation != queue->head->operation || request->internal.alone ||
            !giro_fence_equal(request->fence, queue->head->fence) ||
            event_count >= MERGE_EVENTS_MAX)
            return false;
    }
    return true;
}

void giro_batch_take(struct request_list *queue, uint32_t events_max, struct frame *frame)
{
    struct giro_request *request = queue->head;
    struct giro_request *next = request->internal.next;
    assert(request->count <= events_max);
    frame->operation = request->operation;
    frame->event_count = 0;
    frame->requests = (struct request_list){0};
    frame_add(queue, request, frame);
    if (request->internal.alone || request->count > MERGE_EVENTS_MAX)
        return;
    while (next != NULL && frame->event_count < events_max && !leaves_chain_open(request)) {
        struct giro_request *candidate = next;
        next = candidate->internal.next;
        if (may_join(frame, candidate, events_max))
            frame_add(queue, request = candidate, frame);
        else if (candidate->internal.waiter == NULL)
            return;
    }
}
