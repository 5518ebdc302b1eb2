import Glibc
import NIOCore

/// What a result depends on besides the program.
struct Machine {
    let processor: String
    let cores: Int
    /// In GB (2^30 bytes).
    let memory: Double
    let kernel: String
    /// Milliseconds for 4 KiB to reach the disk: the middle of 200.
    let durableWrite: Double
    /// Of the folder where data folders are made: `ext4`.
    let fileSystem: String

    /// - Parameter folder: where the data folders are.
    init(scratch folder: String) {
        let lines = (readText("/proc/cpuinfo") ?? "").split(separator: "\n")
        processor =
            lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
            .map { String($0.drop { $0 == " " }) } ?? "unknown"
        cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        memory = Double(sysconf(Int32(_SC_PHYS_PAGES))) * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_073_741_824
        kernel = (readText("/proc/sys/kernel/osrelease") ?? "unknown").filter { $0 != "\n" }
        durableWrite = Machine.durableWrite(in: folder)
        fileSystem = Machine.fileSystem(of: folder)
    }

    /// Whether what is written there is gone with the power.
    var isScratchInMemory: Bool { ["tmpfs", "ramfs"].contains(fileSystem) }

    private static func fileSystem(of folder: String) -> String {
        let mounts = (readText("/proc/self/mounts") ?? "").split(separator: "\n").map { $0.split(separator: " ") }
        let holding = mounts.filter { $0.count > 2 && ("\(folder)/".hasPrefix("\($0[1])/") || $0[1] == "/") }
        return holding.max { $0[1].count < $1[1].count }.map { String($0[2]) } ?? "unknown"
    }

    private static func durableWrite(in folder: String) -> Double {
        let path = "\(folder)/durable-write"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return 0 }
        defer {
            close(file)
            unlink(path)
        }
        let page = [UInt8](repeating: 7, count: 4_096)
        return Latencies(
            (0..<200).map { _ in
                let begin = NIODeadline.now()
                _ = write(file, page, page.count)
                fdatasync(file)
                return (NIODeadline.now() - begin).nanoseconds
            }
        ).percentile(50)
    }
}
