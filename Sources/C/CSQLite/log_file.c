// SQLite's write-ahead log, written a commit at a time.
//
// SQLite writes each page of a commit with two calls, 24 bytes of header and the page itself, which touch three pages of the system's
// cache. Here what follows what was written last is gathered and written with one call: when the page that ends a commit is there, before
// the log is synced, read or asked about, and when the room is full. So whoever finds a commit in the log's index finds it in the log.
// What is no header or page behind the last is written at once.
//
// SQLite must not write to the log before it commits (`PRAGMA cache_spill = OFF`): what is gathered then never outlives the commit that it
// belongs to. It is in the file, or the commit has failed, before the writer's lock is given up.
//
// A layer over the system's own (https://sqlite.org/vfs.html), which does all the work: other files than logs never come here. What a log
// consists of is said in https://sqlite.org/fileformat2.html#walformat.

#include "CSQLite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
    frameHeaderSize = 24,
    // 31 pages with their headers. The system's layer takes no more than 0x1ffff bytes at once, and says of more that the disk is full.
    roomSize = 31 * (frameHeaderSize + 4096),
};

static const sqlite3_int64 nowhere = -1;

/// A log as SQLite knows it. Behind it is the system's file.
typedef struct {
    sqlite3_file file;
    /// What is gathered, and where it belongs.
    char *room;
    int count;
    sqlite3_int64 start;
    /// Behind what was written last, gathered or not.
    sqlite3_int64 end;
    /// Whether that was a header, and one of a page that ends a commit.
    int isBehindHeader, endsCommit;
} LogFile;

enum { logFileSize = (sizeof(LogFile) + 15) / 16 * 16 };

/// The system's own layer.
static sqlite3_vfs *inner;

static sqlite3_file *innerFile(LogFile *log) { return (sqlite3_file *)((char *)log + logFileSize); }

/// After an error: nothing of a commit that has failed is written later, over somebody else's.
static int forget(LogFile *log, int code) {
    log->count = 0;
    log->end = nowhere;
    log->isBehindHeader = log->endsCommit = 0;
    return code;
}

/// Writes what is gathered.
static int settle(LogFile *log) {
    if (log->count == 0) return SQLITE_OK;
    sqlite3_file *file = innerFile(log);
    int code = file->pMethods->xWrite(file, log->room, log->count, log->start);
    if (code != SQLITE_OK) return forget(log, code);
    log->count = 0;
    return SQLITE_OK;
}

/// Begins to gather, or goes on, if there is room.
static int gather(LogFile *log, const void *bytes, int count, sqlite3_int64 offset) {
    if (offset != log->end || count > roomSize || !(count == frameHeaderSize || log->isBehindHeader)) return 0;
    if (!log->room && !(log->room = malloc(roomSize))) return 0;
    if (log->count > roomSize - count) return 0;
    if (log->count == 0) log->start = offset;
    memcpy(log->room + log->count, bytes, count);
    log->count += count;
    return 1;
}

/// Of a header: whether the size of the database stands there, which only a commit's last one has.
static int isOfCommit(const unsigned char *header) { return (header[4] | header[5] | header[6] | header[7]) != 0; }

static int writeLog(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    LogFile *log = (LogFile *)file;
    if (!gather(log, bytes, count, offset)) {
        int code = settle(log);
        if (code != SQLITE_OK) return code;
        if (!gather(log, bytes, count, offset)) {
            code = innerFile(log)->pMethods->xWrite(innerFile(log), bytes, count, offset);
            if (code != SQLITE_OK) return forget(log, code);
        }
    }
    // No page is that small.
    int isHeader = count == frameHeaderSize;
    int isCommitted = log->endsCommit && !isHeader;
    log->end = offset + count;
    log->isBehindHeader = isHeader;
    log->endsCommit = isHeader && isOfCommit(bytes);
    return isCommitted ? settle(log) : SQLITE_OK;
}

static int closeLog(sqlite3_file *file) {
    LogFile *log = (LogFile *)file;
    // What is gathered here was never committed.
    free(log->room);
    return innerFile(log)->pMethods->xClose(innerFile(log));
}

/// Has the system's file do something once all is in it.
#define SETTLED(method, ...)                                      \
    LogFile *log = (LogFile *)file;                               \
    int code = settle(log);                                       \
    if (code != SQLITE_OK) return code;                           \
    return innerFile(log)->pMethods->method(innerFile(log), __VA_ARGS__)

static int readLog(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) { SETTLED(xRead, bytes, count, offset); }
static int syncLog(sqlite3_file *file, int flags) { SETTLED(xSync, flags); }
static int sizeOfLog(sqlite3_file *file, sqlite3_int64 *size) { SETTLED(xFileSize, size); }
static int lockLog(sqlite3_file *file, int lock) { SETTLED(xLock, lock); }
static int unlockLog(sqlite3_file *file, int lock) { SETTLED(xUnlock, lock); }
static int checkReservedLock(sqlite3_file *file, int *isLocked) { SETTLED(xCheckReservedLock, isLocked); }
static int controlLog(sqlite3_file *file, int operation, void *argument) { SETTLED(xFileControl, operation, argument); }

static int truncateLog(sqlite3_file *file, sqlite3_int64 size) {
    ((LogFile *)file)->end = nowhere;
    SETTLED(xTruncate, size);
}

static int sectorSize(sqlite3_file *file) {
    sqlite3_file *system = innerFile((LogFile *)file);
    return system->pMethods->xSectorSize(system);
}

static int deviceCharacteristics(sqlite3_file *file) {
    sqlite3_file *system = innerFile((LogFile *)file);
    return system->pMethods->xDeviceCharacteristics(system);
}

static const sqlite3_io_methods logMethods = {
    .iVersion = 1,
    .xClose = closeLog,
    .xRead = readLog,
    .xWrite = writeLog,
    .xTruncate = truncateLog,
    .xSync = syncLog,
    .xFileSize = sizeOfLog,
    .xLock = lockLog,
    .xUnlock = unlockLog,
    .xCheckReservedLock = checkReservedLock,
    .xFileControl = controlLog,
    .xSectorSize = sectorSize,
    .xDeviceCharacteristics = deviceCharacteristics,
};

static int openFile(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *outFlags) {
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL)) return inner->xOpen(inner, name, file, flags, outFlags);
    LogFile *log = (LogFile *)file;
    *log = (LogFile){.end = nowhere};
    innerFile(log)->pMethods = NULL;
    int code = inner->xOpen(inner, name, innerFile(log), flags, outFlags);
    // SQLite closes a file that has methods, also where it could not be opened.
    if (innerFile(log)->pMethods) log->file.pMethods = &logMethods;
    return code;
}

int sqlite_gather_log_writes(void) {
    static sqlite3_vfs layer;
    if (inner) return SQLITE_OK;
    inner = sqlite3_vfs_find(NULL);
    if (!inner) return SQLITE_ERROR;
    layer = *inner;
    layer.zName = "gathered-log";
    layer.szOsFile += logFileSize;
    layer.pNext = NULL;
    layer.xOpen = openFile;
    return sqlite3_vfs_register(&layer, 1);
}

int sqlite_count_memory(int isCounted) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, isCounted); }
