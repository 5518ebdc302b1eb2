#pragma once

// The yardstick for messages: a bare loop over librabbitmq that publishes persistent messages of `length` bytes to a quorum queue
// of its own, `batch` at a time, and waits until the server has confirmed all of a batch before the next. It goes on for `seconds`.
//
// Returns messages a second. Where something fails it returns a negative number, and `failure` says in up to 200 bytes what.
double confirmed_publish(int port, const char *user, const char *password, int length, int batch, double seconds, char *failure);
