/// Where the work at hand came from. It is written into every event and every log line.
package enum Correlation {
    @TaskLocal package static var id: String?
    @TaskLocal package static var traceparent: String?
}
