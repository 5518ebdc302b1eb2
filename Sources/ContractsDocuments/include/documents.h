#pragma once

#include <stddef.h>

/// A YAML document that is part of the program, as it lies in Sources/Contracts.
typedef struct {
    /// The service that it describes, or `components`.
    const char *_Nonnull name;
    const unsigned char *_Nonnull bytes;
    size_t length;
} contracts_document;

/// How many there are. The first is what all others share.
size_t contracts_document_count(void);

contracts_document contracts_document_at(size_t index);
