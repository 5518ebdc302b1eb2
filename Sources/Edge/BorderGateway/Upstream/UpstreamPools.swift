import Discovery
import NIOCore
import Synchronization

/// The pool of each event loop.
final class UpstreamPools: Sendable {
    private let group: any EventLoopGroup
    private let pools: Mutex<[ObjectIdentifier: NIOLoopBoundBox<UpstreamPool>]>

    init(_ group: any EventLoopGroup) {
        self.group = group
        pools = Mutex([:])
    }

    /// To be called on the loop.
    func pool(of loop: any EventLoop) -> UpstreamPool {
        let box = pools.withLock { pools in
            if let box = pools[ObjectIdentifier(loop)] { return box }
            let box = NIOLoopBoundBox(UpstreamPool(loop), eventLoop: loop)
            pools[ObjectIdentifier(loop)] = box
            return box
        }
        return box.value
    }

    func closeIdle() async throws {
        _ = try await collect { $0.closeIdle() }
    }

    /// How many connections are open and not in use, by instance.
    func idle() async throws -> [Instance: Int] {
        try await collect(\.idle).reduce(into: [:]) { all, some in all.merge(some, uniquingKeysWith: +) }
    }

    private func collect<Result: Sendable>(_ body: @escaping @Sendable (UpstreamPool) -> Result) async throws -> [Result] {
        var results: [Result] = []
        for loop in group.makeIterator() {
            guard let box = pools.withLock({ $0[ObjectIdentifier(loop)] }) else { continue }
            results.append(try await loop.submit { body(box.value) }.get())
        }
        return results
    }
}
