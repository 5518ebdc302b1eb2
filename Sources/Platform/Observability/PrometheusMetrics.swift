package import CoreMetrics
import Synchronization

/// A backend of swift-metrics that renders Prometheus' text format (version 0.0.4).
///
/// Counters, gauges and meters as they are; timers and aggregating recorders as histograms with fixed bounds.
package final class PrometheusMetrics: MetricsFactory {
    private struct Key: Hashable {
        let name: String
        let labels: [[String]]
    }

    private let counters = Mutex<[Key: PrometheusCounter]>([:])
    private let gauges = Mutex<[Key: PrometheusGauge]>([:])
    private let histograms = Mutex<[Key: PrometheusHistogram]>([:])

    package init() {}

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counters.withLock { $0.findOrMake(PrometheusMetrics.key(label, dimensions)) { PrometheusCounter() } }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate
            ? histograms.withLock { $0.findOrMake(PrometheusMetrics.key(label, dimensions)) { PrometheusHistogram(isTimer: false) } }
            : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histograms.withLock { $0.findOrMake(PrometheusMetrics.key(label, dimensions)) { PrometheusHistogram(isTimer: true) } }
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
        gauges.withLock { $0.findOrMake(PrometheusMetrics.key(label, dimensions)) { PrometheusGauge() } }
    }

    /// Everything measured so far, ordered by name.
    package func render() -> String {
        var lines: [(name: String, type: String, text: String)] = []
        for (key, counter) in counters.withLock({ $0 }) {
            lines.append((key.name, "counter", "\(key.name)\(PrometheusMetrics.text(key.labels)) \(counter.value)\n"))
        }
        for (key, gauge) in gauges.withLock({ $0 }) {
            lines.append((key.name, "gauge", "\(key.name)\(PrometheusMetrics.text(key.labels)) \(gauge.value)\n"))
        }
        for (key, histogram) in histograms.withLock({ $0 }) {
            lines.append((key.name, "histogram", histogram.render(name: key.name) { PrometheusMetrics.text(key.labels + $0) }))
        }
        lines.sort { ($0.name, $0.text) < ($1.name, $1.text) }
        var output = ""
        var last = ""
        for line in lines {
            if line.name != last { output += "# TYPE \(line.name) \(line.type)\n" }
            last = line.name
            output += line.text
        }
        return output
    }

    private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
        let name = String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return Key(name: name, labels: dimensions.sorted { $0.0 < $1.0 }.map { [$0.0, $0.1] })
    }

    private static func text(_ labels: [[String]]) -> String {
        guard !labels.isEmpty else { return "" }
        let pairs = labels.map { label in
            let value = label[1].replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
            return "\(label[0])=\"\(value)\""
        }
        return "{\(pairs.joined(separator: ","))}"
    }
}

extension Dictionary {
    fileprivate mutating func findOrMake(_ key: Key, _ make: () -> Value) -> Value {
        if let value = self[key] { return value }
        let value = make()
        self[key] = value
        return value
    }
}

private final class PrometheusCounter: CounterHandler {
    private let count = Atomic<Int64>(0)
    var value: Int64 { count.load(ordering: .relaxed) }
    func increment(by amount: Int64) { count.add(amount, ordering: .relaxed) }
    func reset() { count.store(0, ordering: .relaxed) }
}

private final class PrometheusGauge: MeterHandler, RecorderHandler {
    private let current = Mutex(0.0)
    var value: Double { current.withLock { $0 } }
    func set(_ value: Int64) { current.withLock { $0 = Double(value) } }
    func set(_ value: Double) { current.withLock { $0 = value } }
    func increment(by amount: Double) { current.withLock { $0 += amount } }
    func decrement(by amount: Double) { current.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }
}

private final class PrometheusHistogram: TimerHandler, RecorderHandler {
    /// In seconds for timers, in the recorder's own unit otherwise.
    private static let timerBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    private static let recorderBounds: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024]

    private let bounds: [Double]
    private let state: Mutex<(counts: [Int64], sum: Double)>

    init(isTimer: Bool) {
        bounds = isTimer ? PrometheusHistogram.timerBounds : PrometheusHistogram.recorderBounds
        state = Mutex(([Int64](repeating: 0, count: bounds.count + 1), 0))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[index] += 1
            state.sum += value
        }
    }

    func render(name: String, labels: ([[String]]) -> String) -> String {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var text = ""
        var total: Int64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
            text += "\(name)_bucket\(labels([["le", bound]])) \(total)\n"
        }
        return text + "\(name)_sum\(labels([])) \(sum)\n\(name)_count\(labels([])) \(total)\n"
    }
}
