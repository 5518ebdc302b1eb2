#include "confirmed_publish.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const queue = "yardstick";

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

// Until the server has confirmed so many; -1 where it says something else.
static int confirmed(amqp_connection_state_t connection, uint64_t *last, uint64_t wanted) {
    while (*last < wanted) {
        amqp_frame_t frame;
        if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) return -1;
        if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) return -1;
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        // Single acknowledgements may come in any order: counted, not compared.
        if (ack->multiple) {
            if (ack->delivery_tag > *last) *last = ack->delivery_tag;
        } else {
            *last += 1;
        }
        amqp_maybe_release_buffers(connection);
    }
    return 0;
}

static const char *publish(
    amqp_connection_state_t connection, const char *user, const char *password, int length, int batch, double seconds, double *rate) {
    if (amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, user, password).reply_type != AMQP_RESPONSE_NORMAL)
        return "the login was refused";
    amqp_channel_open(connection, 1);
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) return "no channel was opened";
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-queue-type"),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &entry};
    amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0, arguments);
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) return "the queue was not made";
    amqp_confirm_select(connection, 1);
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) return "nothing will be confirmed";

    char *body = malloc((size_t)length);
    if (!body) return "there is no memory";
    memset(body, 'x', (size_t)length);
    const amqp_bytes_t bytes = {.len = (size_t)length, .bytes = body};
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    const char *failure = NULL;
    uint64_t sent = 0, last = 0;
    const double begin = now();
    double end = begin;
    while (!failure && end - begin < seconds) {
        for (int i = 0; i < batch && !failure; i++, sent++)
            if (amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties, bytes) != 0)
                failure = "a message was not sent";
        if (!failure && confirmed(connection, &last, sent) != 0) failure = "a message was not confirmed";
        end = now();
    }
    free(body);
    *rate = (double)sent / (end - begin);
    if (failure) return failure;
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(queue), 0, 0);
    return NULL;
}

double confirmed_publish(int port, const char *user, const char *password, int length, int batch, double seconds, char *failure) {
    double rate = -1;
    const char *wrong = "there is no connection";
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (socket && amqp_socket_open(socket, "127.0.0.1", port) == AMQP_STATUS_OK)
        wrong = publish(connection, user, password, length, batch, seconds, &rate);
    amqp_destroy_connection(connection);
    if (!wrong) return rate;
    snprintf(failure, 200, "%s", wrong);
    return -1;
}
