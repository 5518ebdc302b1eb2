#pragma once

/// What is set of SQLite once for a process, beside GRDB, which imports all else of it.

/// SQLITE_CONFIG_MEMSTATUS, whose function is variadic. To be called before SQLite is first used.
/// - Returns: 0, or one of SQLite's error codes.
int sqlite_count_memory(int isCounted);

/// Has the write-ahead logs of all databases that are opened from now on written a commit at a time; see `log_file.c`.
/// - Returns: 0, or one of SQLite's error codes.
int sqlite_gather_log_writes(void);
