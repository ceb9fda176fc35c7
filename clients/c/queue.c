#include "clients/c/client.h"

#include <assert.h>

/* ---- Lists ------------------------------------------------------------------------------- */

void giro_list_append(struct request_list *list, struct giro_request *request)
{
    request->internal.previous = list->tail;
    request->internal.next = NULL;
    if (list->tail != NULL)
        list->tail->internal.next = request;
    else
        list->head = request;
    list->tail = request;
}

void giro_list_remove(struct request_list *list, struct giro_request *request)
{
    struct giro_request *previous = request->internal.previous;
    struct giro_request *next = request->internal.next;
    assert(previous != NULL ? previous->internal.next == request : list->head == request);
    assert(next != NULL ? next->internal.previous == request : list->tail == request);
    if (previous != NULL)
        previous->internal.next = next;
    else
        list->head = next;
    if (next != NULL)
        next->internal.previous = previous;
    else
        list->tail = previous;
    request->internal.previous = NULL;
    request->internal.next = NULL;
}

void giro_list_append_all(struct request_list *to, struct request_list *from)
{
    if (from->head == NULL)
        return;
    from->head->internal.previous = to->tail;
    if (to->tail != NULL)
        to->tail->internal.next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    *from = (struct request_list){0};
}

void giro_list_prepend_all(struct request_list *to, struct request_list *from)
{
    giro_list_append_all(from, to);
    *to = *from;
    *from = (struct request_list){0};
}

/* ---- Deadlines --------------------------------------------------------------------------- */

static void heap_set(struct deadlines *deadlines, uint32_t index, struct deadline deadline)
{
    deadlines->heap[index] = deadline;
    deadline.request->internal.heap_index = index;
}

/* Puts a deadline where index is free, or further up. */
static void heap_rise(struct deadlines *deadlines, uint32_t index, struct deadline deadline)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (deadlines->heap[parent].at_ns <= deadline.at_ns)
            break;
        heap_set(deadlines, index, deadlines->heap[parent]);
        index = parent;
    }
    heap_set(deadlines, index, deadline);
}

/* Moves the earlier child up into the free index, until none is left. Returns the free leaf. */
static uint32_t heap_sink(struct deadlines *deadlines, uint32_t index)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= deadlines->count)
            return index;
        if (child + 1 < deadlines->count &&
            deadlines->heap[child + 1].at_ns < deadlines->heap[child].at_ns)
            child++;
        heap_set(deadlines, index, deadlines->heap[child]);
        index = child;
    }
}

void giro_deadlines_add(struct deadlines *deadlines, struct giro_request *request)
{
    assert(deadlines->count < deadlines->capacity);
    heap_rise(deadlines, deadlines->count++,
              (struct deadline){.at_ns = request->internal.deadline_ns, .request = request});
}

void giro_deadlines_remove(struct deadlines *deadlines, struct giro_request *request)
{
    uint32_t index = request->internal.heap_index;
    assert(index < deadlines->count);
    assert(deadlines->heap[index].request == request);
    struct deadline last = deadlines->heap[--deadlines->count];
    if (last.request != request)
        heap_rise(deadlines, heap_sink(deadlines, index), last);
}
