import Foundation
import Synchronization

/// A way to a server of this machine that can be disturbed: what goes through `port` comes out at the server's.
///
/// One thread carries everything. It ends with this value.
package final class FragileNetwork: Sendable {
    private struct State {
        var isSwallowing = false
        /// How many connections, the oldest first, are held back.
        var heldBack = 0
        var isToReset = false
        var isOver = false
        var connections = 0
        var questions = 0
    }

    /// Where its clients connect.
    package let port: Int
    private let carrier: Carrier

    /// - Parameter server: its port.
    package init(to server: Int) throws {
        carrier = try Carrier(to: server)
        port = carrier.port
        Thread.detachNewThread { [carrier] in carrier.run() }
    }

    deinit {
        carrier.tell { $0.isOver = true }
    }

    /// Lets nothing through any more, in neither direction, also no new connection and no end of one. Nobody is told.
    package func swallow() {
        carrier.tell { $0.isSwallowing = true }
    }

    /// Lets nothing through any more of the connections that there are. New ones are as ever.
    package func holdBack() {
        carrier.tell { $0.heldBack = $0.connections }
    }

    /// Lets everything through again, also what was on its way, as repeated packets would come.
    package func flow() {
        carrier.tell { ($0.isSwallowing, $0.heldBack) = (false, 0) }
    }

    /// Breaks all connections, for both sides to see. What was on its way is lost.
    package func reset() {
        carrier.tell { $0.isToReset = true }
    }

    /// How many connections go through it.
    package var connections: Int { carrier.state.withLock { $0.connections } }

    /// How often a client has said something to a server that was silent or had answered: how many round trips there were.
    package var questions: Int { carrier.state.withLock { $0.questions } }

    /// Both directions of a connection, from the client and from the server.
    private struct Pipe {
        let ends: [Int32]
        /// What has come from each end and is to go to the other one.
        var waiting: [[UInt8]] = [[], []]
        var hasEnded = [false, false]
        private var isAsking = false

        init(client: Int32, server: Int32) {
            ends = [client, server]
        }

        var isOver: Bool { zip(hasEnded, waiting).contains { $0 && $1.isEmpty } }

        func events(from end: Int) -> Int32 {
            (waiting[end].isEmpty && !hasEnded[end] ? POLLIN : 0) | (waiting[1 - end].isEmpty ? 0 : POLLOUT)
        }

        /// Says whether it was a question.
        mutating func carry(from end: Int) -> Bool {
            var isQuestion = false
            if waiting[end].isEmpty, !hasEnded[end] {
                var bytes = [UInt8](repeating: 0, count: 65_536)
                let count = recv(ends[end], &bytes, bytes.count, Int32(MSG_DONTWAIT))
                if count > 0 {
                    waiting[end] = Array(bytes.prefix(count))
                    isQuestion = end == 0 && !isAsking
                    isAsking = end == 0
                }
                if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { hasEnded[end] = true }
            }
            guard !waiting[end].isEmpty else { return isQuestion }
            let count = send(ends[1 - end], waiting[end], waiting[end].count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if count > 0 { waiting[end].removeFirst(count) }
            if count < 0, errno != EAGAIN, errno != EINTR {
                waiting[end] = []
                hasEnded[end] = true
            }
            return isQuestion
        }

        func close() {
            for end in ends { Glibc.close(end) }
        }

        /// Closes both ends in a way that says that something is wrong.
        func reset() {
            var now = linger(l_onoff: 1, l_linger: 0)
            for end in ends { setsockopt(end, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size)) }
            close()
        }
    }

    /// What the thread has: it lives as long as that.
    private final class Carrier: Sendable {
        let port: Int
        let state = Mutex(State())
        private let server: Int
        private let listener: Int32
        private let bell: [Int32]

        init(to server: Int) throws {
            self.server = server
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            port = try Ports.bound(listener)
            var bell: [Int32] = [0, 0]
            guard listen(listener, 128) == 0, pipe(&bell) == 0 else { throw ServerFailure("no connection can be carried (\(errno))") }
            for end in bell {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
            }
            self.bell = bell
        }

        deinit {
            for descriptor in bell + [listener] { close(descriptor) }
        }

        func tell(_ change: (inout State) -> Void) {
            state.withLock { change(&$0) }
            _ = write(bell[1], [0], 1)
        }

        func run() {
            var pipes: [Pipe] = []
            while true {
                let now = state.withLock { state in
                    defer { state.isToReset = false }
                    return state
                }
                if now.isOver || now.isToReset {
                    for pipe in pipes { pipe.reset() }
                    pipes = []
                }
                if now.isOver { return }
                wait(for: now.isSwallowing ? [] : Array(pipes.dropFirst(now.heldBack)), alsoForNew: !now.isSwallowing)
                guard !state.withLock({ $0.isSwallowing || $0.isToReset || $0.isOver }) else { continue }
                if let pipe = accept() { pipes.append(pipe) }
                for index in pipes.indices.dropFirst(state.withLock { $0.heldBack }) {
                    if pipes[index].carry(from: 0) { state.withLock { $0.questions += 1 } }
                    _ = pipes[index].carry(from: 1)
                }
                for pipe in pipes where pipe.isOver { pipe.close() }
                pipes.removeAll(where: \.isOver)
                state.withLock { $0.connections = pipes.count }
            }
        }

        /// Returns when there is something to do.
        private func wait(for pipes: [Pipe], alsoForNew: Bool) {
            var places = [pollfd(fd: bell[0], events: Int16(POLLIN), revents: 0)]
            if alsoForNew { places.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0)) }
            for pipe in pipes {
                for end in 0...1 {
                    let events = pipe.events(from: end)
                    // One that nothing is wanted of would wake all the time once its other side has gone.
                    places.append(pollfd(fd: events == 0 ? -1 : pipe.ends[end], events: Int16(events), revents: 0))
                }
            }
            _ = poll(&places, nfds_t(places.count), -1)
            var bytes = [UInt8](repeating: 0, count: 64)
            while read(bell[0], &bytes, bytes.count) > 0 {}
        }

        /// Nil if nobody has come. Who comes while the server is not there is sent away.
        private func accept() -> Pipe? {
            var place = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
            guard poll(&place, 1, 0) == 1 else { return nil }
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return nil }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            let pipe = Pipe(client: client, server: socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
            var address = Ports.loopback(port: server)
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                    connect(pipe.ends[1], generic, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if !isConnected { pipe.reset() }
            return isConnected ? pipe : nil
        }
    }
}
