#pragma once
#include <libpq-fe.h>

// Character constants, which Swift does not import.

static const int pq_field_severity = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int pq_field_sqlstate = PG_DIAG_SQLSTATE;
static const int pq_field_message = PG_DIAG_MESSAGE_PRIMARY;
