#pragma once

/// Of sqlite3.h, which GRDB imports. Variadic, which Swift does not import.
extern int sqlite3_config(int option, ...);

/// SQLITE_CONFIG_MEMSTATUS. To be called before SQLite is first used.
static inline int sqlite_count_memory(int isCounted) { return sqlite3_config(9, isCounted); }
