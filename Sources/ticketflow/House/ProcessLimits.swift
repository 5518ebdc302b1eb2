import Glibc

enum ProcessLimits {
    /// As many open files as this user may have (containers may come with 1,024, and a connection is one), and few arenas of the C
    /// library's malloc where jemalloc does not take its place: each would keep what its thread once needed.
    static func raise() {
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        setArenas(4)
    }

    /// `mallopt(M_ARENA_MAX, count)`, looked up because the module Glibc leaves `malloc.h` out.
    private static func setArenas(_ count: Int32) {
        let arenaMax: Int32 = -8
        guard let symbol = dlsym(nil, "mallopt") else { return }
        let mallopt = unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
        _ = mallopt(arenaMax, count)
    }
}
