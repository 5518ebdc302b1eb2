/// What a service is called on the command line, in configuration and in the registry: `sales-manager`.
package struct ServiceName: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}
